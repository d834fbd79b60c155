"""BLEU and chrF of rows drawn again beside sacreBLEU's own of the same rows written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from job.tasks.scorers import whole
from job.tasks.seq2seq.scorers import rouge_scorer, sacrebleu_scorer

texts = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "."]), max_size=9).map(
    " ".join
)
rows = st.lists(st.tuples(texts, texts, st.integers(0, 3)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(rows)
def test_scores_are_sacrebleus(rows: list[tuple[str, str, int]]) -> None:
    predictions, references, counts = (list(column) for column in zip(*rows, strict=True))
    again = np.repeat(np.arange(len(rows)), counts)
    if not len(again):
        return
    drawn = [predictions[i] for i in again], [[references[i] for i in again]]
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        scorer = sacrebleu_scorer(name, predictions, references)
        assert scorer is not None
        wanted = metric.corpus_score(*drawn).score
        assert scorer.score(np.array([counts])) == pytest.approx([wanted], abs=1e-9)


def test_an_order_without_a_match_counts_as_half_of_one() -> None:
    scorer = sacrebleu_scorer("bleu", ["the cat sat on mats"], ["the cat ran on mats"])
    assert scorer is not None
    # matches: 4 of 5 words, 2 of 4 pairs, none of 3 triples, none of 2 runs of four
    wanted = 100 * (4 / 5 * 2 / 4 * (1 / 2) / 3 * (1 / 4) / 2) ** (1 / 4)
    assert whole(scorer) == pytest.approx(wanted)
    assert sacrebleu_scorer("rouge1", ["a"], ["a"]) is None
    assert rouge_scorer("bleu", ["a"], ["a"]) is None
