"""ROUGE and sacreBLEU as `evaluate.Metric`s that need no download.

Importing this module imports `evaluate`, which takes seconds; import it where scores are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import datasets
import evaluate

from job.tasks.seq2seq.rouge import rouge_scores


class Rouge(evaluate.Metric):
    """ROUGE-1, -2, -L and -Lsum: mean F1 over the rows, in percent."""

    def _info(self) -> evaluate.MetricInfo:
        return _texts("Words and runs of words that a summary shares with its reference")

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        rows = [rouge_scores(*pair) for pair in zip(predictions, references, strict=True)]
        return {name: 100 * fmean(row[name] for row in rows) for name in rows[0]}


class SacreBleu(evaluate.Metric):
    """sacreBLEU's BLEU and chrF over all rows, in percent (Post 2018, arXiv 1804.08771)."""

    def _info(self) -> evaluate.MetricInfo:
        return _texts(
            "Runs of words and of characters that a translation shares with its reference"
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        from sacrebleu.metrics import BLEU, CHRF

        texts = list(predictions), [list(references)]
        return {
            "bleu": float(BLEU().corpus_score(*texts).score),
            "chrf": float(CHRF().corpus_score(*texts).score),
        }


def _texts(description: str) -> evaluate.MetricInfo:
    text = datasets.Value("string")
    return evaluate.MetricInfo(
        description=description,
        citation="",
        inputs_description="predictions, references: one text each",
        features=datasets.Features({"predictions": text, "references": text}),
    )


def rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """rouge1, rouge2, rougeL and rougeLsum of as many predictions as references."""
    return _computed(Rouge, predictions, references)


def sacrebleu_scores(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """bleu and chrf of as many predictions as references."""
    return _computed(SacreBleu, predictions, references)


def _computed(
    metric: type[evaluate.Metric], predictions: Sequence[str], references: Sequence[str]
) -> dict[str, float]:
    scores: dict[str, float] = metric(keep_in_memory=True).compute(
        predictions=list(predictions), references=list(references)
    )
    return scores


def sacrebleu_signatures() -> dict[str, str]:
    """What a score must be quoted with for others to compute the same."""
    from sacrebleu.metrics import BLEU, CHRF

    signatures = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        metric.corpus_score(["a"], [["a"]])  # the number of references is known afterwards
        signatures[f"{name}_signature"] = str(metric.get_signature())
    return signatures
