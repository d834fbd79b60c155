"""ROUGE beside Google's rouge-score, and sacreBLEU's figures with their signatures."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.tasks.seq2seq.metrics import rouge, sacrebleu_scores, sacrebleu_signatures
from job.tasks.seq2seq.rouge import ROUGE_SIGNATURE, common, sentences_of, words_of

NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def theirs(prediction: str, reference: str) -> dict[str, float]:
    """rouge-score's figures, its sentences on lines of their own as it wants them."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    lines = ["\n".join(sentences_of(text)) for text in (reference, prediction)]
    found: Any = scorer.RougeScorer(list(NAMES)).score(*lines)
    return {name: 100 * found[name].fmeasure for name in NAMES}


texts = st.lists(
    st.sampled_from(["the", "cat", "sat", "on", "a", "mat.", "Why?", "it's", "3", "x-rays!"]),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(texts, texts)
def test_rouge_is_that_of_google(guess: list[str], truth: list[str]) -> None:
    prediction, reference = " ".join(guess), " ".join(truth)
    assert rouge([prediction], [reference]) == pytest.approx(theirs(prediction, reference))


def test_rouge_is_a_mean_over_the_rows_and_knows_other_alphabets() -> None:
    found = rouge(["the cat", "dog"], ["the cat", "bird"])
    assert found["rougeL"] == pytest.approx(50)
    assert rouge(["Кошка спит дома"], ["кошка дома"])["rouge1"] == pytest.approx(80)
    assert rouge(["schöne Häuser"], ["schone Hauser"])["rouge1"] == 0
    assert words_of("a_b c's") == ["a", "b", "c", "s"]
    assert "stem:no" in ROUGE_SIGNATURE


words = st.lists(st.sampled_from("abc"), max_size=7)


@given(words, words)
def test_a_longest_common_subsequence_is_common_and_longest(
    truth: list[str], guess: list[str]
) -> None:
    """The slow reference: every subsequence of the truth, as a pattern over the guess."""
    places = common(truth, guess)
    assert places == sorted(set(places))
    longest = 0
    for chosen in range(2 ** len(truth)):
        picked = [word for i, word in enumerate(truth) if chosen >> i & 1]
        if re.search(".*".join(picked), "".join(guess)):
            longest = max(longest, len(picked))
    assert len(places) == longest
    assert re.search(".*".join(truth[i] for i in places), "".join(guess))


def test_sacrebleu_is_its_own_and_says_how_it_was_computed() -> None:
    from sacrebleu import corpus_bleu, corpus_chrf

    guess = ["The dog runs through the wide green field.", "A man sleeps."]
    truth = ["The dog runs over the wide green field.", "A man is asleep."]
    found = sacrebleu_scores(guess, truth)
    assert found["bleu"] == pytest.approx(corpus_bleu(guess, [truth]).score)
    assert found["chrf"] == pytest.approx(corpus_chrf(guess, [truth]).score)
    assert sacrebleu_scores(truth, truth)["bleu"] == pytest.approx(100)
    signatures = sacrebleu_signatures()
    assert signatures["bleu_signature"].startswith("nrefs:1|case:mixed|")
    assert "tok:13a" in signatures["bleu_signature"]
    assert "nc:6" in signatures["chrf_signature"]
