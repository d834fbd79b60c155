"""Scores against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from job.settings.metrics import is_of_class, of_class
from job.tasks.text_classification.metrics import compute


def one_hot(classes: list[int], labels: int) -> np.ndarray:
    return np.eye(labels, dtype=np.float32)[classes]


def test_single_label() -> None:
    # truth a a a b, guess a a b b: precision of a 1, recall 2/3; of b 1/2 and 1
    scores = compute(
        "single_label_classification",
        ["a", "b"],
        one_hot([0, 0, 1, 1], 2),
        np.array([0, 0, 0, 1], np.float32),
    )
    assert scores["accuracy"] == 0.75
    assert scores["precision_a"] == 1
    assert scores["recall_a"] == pytest.approx(2 / 3)
    assert scores["f1_a"] == pytest.approx(0.8)
    assert scores["f1_b"] == pytest.approx(2 / 3)
    assert scores["f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert scores["f1_weighted"] == pytest.approx((3 * 0.8 + 2 / 3) / 4)
    assert scores["support_a"] == 3
    # (TP*TN - FP*FN) / sqrt(...) with b as the positive class: (1*2 - 1*0) / sqrt(2*1*3*2)
    assert scores["matthews_correlation"] == pytest.approx(2 / np.sqrt(12))


def test_the_area_under_the_curve_counts_pairs_in_order() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], np.float32)
    scores = compute(
        "single_label_classification", ["a", "b"], probabilities, np.array([0, 0, 1, 1], np.float32)
    )
    assert scores["roc_auc"] == pytest.approx(3 / 4)


def test_a_class_without_rows_counts_as_zero_and_breaks_nothing() -> None:
    scores = compute(
        "single_label_classification",
        ["a", "b", "c"],
        one_hot([0, 1], 3),
        np.array([0, 1], np.float32),
    )
    assert scores["f1_c"] == 0
    assert scores["f1"] == pytest.approx(2 / 3)
    assert scores["accuracy"] == 1


def test_multi_label() -> None:
    probabilities = np.array([[0.9, 0.2], [0.8, 0.7], [0.1, 0.6]], np.float32)
    truth = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    scores = compute("multi_label_classification", ["a", "b"], probabilities, truth)
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["hamming_loss"] == pytest.approx(1 / 6)
    assert scores["f1_micro"] == pytest.approx(2 * 3 / (2 * 3 + 1))
    assert scores["f1_a"] == 1
    assert scores["f1_b"] == pytest.approx(2 / 3)
    # label b: 0.6 (true) beside 0.2 and 0.7 (false) is half in order; label a is wholly so
    assert scores["roc_auc"] == pytest.approx((1 + 0.5) / 2)


def test_regression() -> None:
    guess = np.array([[1], [2], [4]], np.float32)
    scores = compute("regression", ["score"], guess, np.array([1, 2, 3], np.float32))
    assert scores["mse"] == pytest.approx(1 / 3)
    assert scores["mae"] == pytest.approx(1 / 3)
    assert scores["spearman"] == pytest.approx(1)
    assert scores["pearson"] == pytest.approx(np.corrcoef([1, 2, 4], [1, 2, 3])[0, 1])


def test_a_constant_guess_has_no_correlation_and_is_no_error() -> None:
    scores = compute(
        "regression", ["score"], np.ones((3, 1), np.float32), np.array([1, 2, 3], np.float32)
    )
    assert scores["pearson"] == scores["spearman"] == 0


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_a_class_that_is_called_as_an_average_is_kept_apart(problem: str) -> None:
    labels = ["weighted", "micro", "samples", "'weighted'", "other"]
    guess, truth = one_hot([0, 1, 2, 3, 4, 0], 5), one_hot([0, 1, 1, 3, 4, 4], 5)
    targets = truth if problem.startswith("multi") else truth.argmax(axis=-1).astype(np.float32)
    plain = compute(problem, ["a", "b", "c", "d", "e"], guess, targets)
    scores = compute(problem, labels, guess, targets)
    averages = {name: value for name, value in plain.items() if not is_of_class(name)}
    assert {name: scores[name] for name in averages} == averages
    for metric in ("precision", "recall", "f1", "support"):
        found = [scores[of_class(metric, label)] for label in labels]
        assert found == [plain[f"{metric}_{label}"] for label in "abcde"]
    assert len(scores) == len(plain)
    assert scores["f1_'weighted'"] == plain["f1_a"]
