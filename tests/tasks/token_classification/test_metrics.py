"""Scores against figures worked out by hand."""

from __future__ import annotations

from job.tasks.token_classification.metrics import compute


def test_scores_count_whole_entities() -> None:
    """seqeval's own example (README), and one with a wrong type."""
    truth = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    guess = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    scores = compute(guess, truth, ["MISC", "PER"])
    assert scores["f1"] == scores["precision"] == scores["recall"] == 0.5
    assert (scores["f1_PER"], scores["f1_MISC"], scores["support_MISC"]) == (1, 0, 1)
    assert scores["accuracy"] == 0.8
    wrong = compute([["B-PER", "O"]], [["B-LOC", "B-PER"]], ["LOC", "PER"])
    assert (wrong["precision"], wrong["recall"], wrong["f1_PER"]) == (0, 0, 0)


def test_scores_of_nothing_are_zero_and_plain_tags_have_accuracy() -> None:
    assert compute([["O"]], [["O"]], ["PER"])["f1"] == 0
    assert compute([["NOUN", "ADJ"]], [["NOUN", "VERB"]], []) == {"accuracy": 0.5}
