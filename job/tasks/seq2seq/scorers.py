"""ROUGE and sacreBLEU's metrics as scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from job.tasks.scorers import PERCENT, Float64, SumScorer, divided, mean_of
from job.tasks.seq2seq.rouge import rouge_scores


def rouge_scorer(
    metric: str, predictions: Sequence[str], references: Sequence[str]
) -> SumScorer | None:
    """The mean of a ROUGE, by its name, over as many predictions as references."""
    rows = [rouge_scores(*pair) for pair in zip(predictions, references, strict=True)]
    return mean_of([row[metric] for row in rows], PERCENT) if metric in rows[0] else None


def sacrebleu_scorer(
    metric: str, predictions: Sequence[str], references: Sequence[str]
) -> SumScorer | None:
    """`bleu` or `chrf` of as many predictions as references."""
    from sacrebleu.metrics import BLEU, CHRF

    if metric == "bleu":
        return SumScorer(_statistics(BLEU(), predictions, references), _bleu, PERCENT)
    if metric == "chrf":
        return SumScorer(_statistics(CHRF(), predictions, references), _chrf, PERCENT)
    return None


def _statistics(metric: Any, predictions: Sequence[str], references: Sequence[str]) -> Float64:
    """What sacreBLEU counts in each row, and adds up for a score of the corpus, shape (rows, figures)."""
    return np.array(metric._extract_corpus_statistics(predictions, [references]), np.float64)


def _bleu(sums: Float64) -> Float64:
    """BLEU from the lengths of predictions and references, and of runs of 1 to 4 words how many match
    and how many there are (Post 2018): an order without a match counts as half of one, the next such
    as a quarter; 0 where nothing matches, or nothing is as long as the longest run."""
    length, wanted = sums[:, 0], sums[:, 1]
    right, total = np.split(sums[:, 2:], 2, axis=1)
    halves = 0.5 ** np.cumsum(right == 0, axis=1)
    shares = divided(np.where(right == 0, halves, right), total, otherwise=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        brevity = np.minimum(0.0, 1 - wanted / length)
        mean = np.log(shares).mean(axis=1)
    return np.where(right.any(axis=1), PERCENT * np.exp(brevity + mean), 0.0)


_BETA = 2
"""How much more recall weighs than precision in chrF."""


def _chrf(sums: Float64) -> Float64:
    """chrF from how many runs of 1 to 6 characters are predicted, are in the references, and are in both
    (Popović 2015): the F-score of the mean precision and recall over the orders that both sides have."""
    guessed, true, both = (sums[:, start::3] for start in range(3))
    had = (guessed > 0) & (true > 0)
    orders = had.sum(axis=1)
    precision, recall = (
        divided((divided(both, of, otherwise=0.0) * had).sum(axis=1), orders, otherwise=0.0)
        for of in (guessed, true)
    )
    weight = _BETA**2
    weighed = (1 + weight) * precision * recall
    return PERCENT * divided(weighed, weight * precision + recall, otherwise=0.0)
