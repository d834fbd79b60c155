"""Metrics of text-classification as `evaluate.Metric` classes that need no download.

Importing this module imports `evaluate`, which takes seconds; import it where scores are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

from job.settings.metrics import OF_CLASSES, SUPPORT, of_class
from job.tasks.types import Floats


def _info(description: str, value: Any) -> evaluate.MetricInfo:
    return evaluate.MetricInfo(
        description=description,
        citation="",
        inputs_description="predictions: probabilities or scores; references: the truth",
        features=datasets.Features(
            {"predictions": datasets.Sequence(datasets.Value("float32")), "references": value}
        ),
    )


class SingleLabelClassification(evaluate.Metric):
    """Predictions: probabilities, shape (rows, labels). References: class numbers, shape (rows,)."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("Scores of a classifier with one label per row", datasets.Value("int64"))

    def _compute(
        self, predictions: Floats, references: Any, labels: Sequence[str]
    ) -> dict[str, float]:
        probabilities, truth = np.asarray(predictions), np.asarray(references)
        guess = probabilities.argmax(axis=-1)
        scores = {
            "accuracy": float((guess == truth).mean()),
            "matthews_correlation": float(sklearn_metrics.matthews_corrcoef(truth, guess)),
            **_averages(truth, guess, labels),
        }
        auc = _roc_auc(probabilities, truth)
        return scores if auc is None else {**scores, "roc_auc": auc}


class MultiLabelClassification(evaluate.Metric):
    """Predictions: probabilities, shape (rows, labels). References: 0 or 1, shape (rows, labels)."""

    def _info(self) -> evaluate.MetricInfo:
        return _info(
            "Scores of a classifier with any number of labels per row",
            datasets.Sequence(datasets.Value("float32")),
        )

    def _compute(
        self, predictions: Floats, references: Any, labels: Sequence[str]
    ) -> dict[str, float]:
        probabilities, truth = np.stack(list(predictions)), np.stack(list(references)) > 0
        guess = probabilities > 0.5
        scores = {
            "accuracy": float((guess == truth).all(axis=-1).mean()),
            "hamming_loss": float((guess != truth).mean()),
            "f1_micro": float(
                sklearn_metrics.f1_score(truth, guess, average="micro", zero_division=0)
            ),
            "f1_samples": float(
                sklearn_metrics.f1_score(truth, guess, average="samples", zero_division=0)
            ),
            **_averages(truth, guess, labels),
        }
        mixed = truth.any(axis=0) & ~truth.all(axis=0)
        if mixed.any():
            scores["roc_auc"] = float(
                np.mean(
                    [
                        sklearn_metrics.roc_auc_score(truth[:, i], probabilities[:, i])
                        for i in np.flatnonzero(mixed)
                    ]
                )
            )
        return scores


class Regression(evaluate.Metric):
    """Predictions: scores, shape (rows, 1). References: scores, shape (rows,)."""

    def _info(self) -> evaluate.MetricInfo:
        return _info("Scores of a regression", datasets.Value("float32"))

    def _compute(self, predictions: Floats, references: Any) -> dict[str, float]:
        guess, truth = (
            np.stack(list(predictions))[:, 0].astype(np.float64),
            np.asarray(references, np.float64),
        )
        scores = {
            "mse": float(np.square(guess - truth).mean()),
            "mae": float(np.abs(guess - truth).mean()),
        }
        # correlation with a constant is undefined, and NaN is not JSON
        if len(guess) > 1 and np.ptp(guess) > 0 and np.ptp(truth) > 0:
            scores["pearson"] = float(stats.pearsonr(guess, truth).statistic)
            scores["spearman"] = float(stats.spearmanr(guess, truth).statistic)
        else:
            scores["pearson"] = scores["spearman"] = 0.0
        return scores


def compute(
    problem_type: str, labels: Sequence[str], probabilities: Floats, targets: Floats
) -> dict[str, float]:
    """Every metric of a problem type, by name.

    Args:
        problem_type: transformers' name for it.
        labels: names in order.
        probabilities: shape (rows, labels).
        targets: shape (rows,), or (rows, labels) for multi-label.
    """
    if problem_type == "regression":
        metric, more = Regression(keep_in_memory=True), {}
    elif problem_type == "multi_label_classification":
        metric, more = MultiLabelClassification(keep_in_memory=True), {"labels": labels}
    else:
        metric, more = SingleLabelClassification(keep_in_memory=True), {"labels": labels}
        targets = targets.astype(np.int64)
    scores: dict[str, float] = metric.compute(predictions=probabilities, references=targets, **more)
    return scores


def _averages(truth: Any, guess: Any, labels: Sequence[str]) -> dict[str, float]:
    """Macro and weighted averages, and each class by name; classes without rows count as 0."""
    each = sklearn_metrics.precision_recall_fscore_support(
        truth, guess, labels=range(len(labels)), average=None, zero_division=0
    )
    support = each[3]
    scores: dict[str, float] = {}
    for name, values in zip(OF_CLASSES, each, strict=False):
        scores[name] = float(values.mean())
        scores[f"{name}_weighted"] = float((values * support).sum() / max(1, support.sum()))
    for i, label in enumerate(labels):
        for name, values in zip(OF_CLASSES, each, strict=False):
            scores[of_class(name, label)] = float(values[i])
        scores[of_class(SUPPORT, label)] = int(support[i])
    return scores


def _roc_auc(probabilities: Floats, truth: Any) -> float | None:
    """One against the rest, macro-averaged over the classes that some but not all rows belong to."""
    areas = [
        sklearn_metrics.roc_auc_score(truth == i, probabilities[:, i])
        for i in range(probabilities.shape[1])
        if 0 < (truth == i).sum() < len(truth)
    ]
    return float(np.mean(areas)) if areas else None
