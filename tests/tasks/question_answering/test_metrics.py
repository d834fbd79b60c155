"""Exact match and F1 as SQuAD's script counts them."""

from __future__ import annotations

import pytest

from job.tasks.question_answering.metrics import compute
from job.tasks.question_answering.overlap import exact, overlap


def test_answers_are_compared_without_case_articles_and_punctuation() -> None:
    assert exact("The  Denver Broncos!", "denver broncos") == 1
    assert exact("an", "") == 1
    assert overlap("the big red dog", "red dog barks") == pytest.approx(2 * 2 / 6)
    assert overlap("a", "the") == 1
    assert overlap("cat", "") == 0


def test_the_best_of_the_right_answers_counts() -> None:
    scores = compute(["red dog", "x"], [["dog", "red dog"], ["y"]])
    assert scores == {"exact_match": 50, "f1": 50}


def test_questions_without_an_answer_are_counted_apart() -> None:
    scores = compute(["", "x", "dog"], [[], [], ["red dog"]])
    assert scores["unanswerable_exact_match"] == scores["unanswerable_f1"] == 50
    assert scores["answerable_exact_match"] == 0
    assert scores["answerable_f1"] == pytest.approx(200 / 3)
    assert scores["exact_match"] == pytest.approx(100 / 3)
