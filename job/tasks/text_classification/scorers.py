"""Metrics of text-classification as scorers: labels by name, whatever order a model has them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from job.settings.metrics import OF_CLASSES, of_class
from job.tasks.labels import classes, is_number
from job.tasks.scorers import (
    AreaScorer,
    Bools,
    Float64,
    Numbers,
    Scorer,
    SpearmanScorer,
    SumScorer,
    defined,
    divided,
    found,
    mean_of,
    share_of,
)
from job.tasks.text_classification.problems import REGRESSION, SINGLE
from job.tasks.types import Floats


@dataclass(frozen=True, eq=False)
class _Answers:
    """What rows are and what the model takes them for, over the same classes."""

    classes: tuple[str, ...]
    """Those that rows have, then those that the model alone knows."""
    true: Bools
    """Shape (rows, classes)."""
    guess: Bools
    likelihoods: Floats
    """0 for a class that the model does not know."""

    @classmethod
    def of(
        cls,
        truth: Sequence[Sequence[str]],
        guess: Bools,
        probabilities: Floats,
        known: Sequence[str],
    ) -> _Answers:
        """The answers by name.

        Args:
            truth: the classes of each row.
            guess: those that the model gives, shape (rows, labels).
            probabilities: of the model's labels, shape (rows, labels).
            known: the model's labels, in order.
        """
        seen = dict.fromkeys(sorted({name for row in truth for name in row}))
        classes = tuple(dict.fromkeys((*seen, *sorted(known))))
        place = {name: column for column, name in enumerate(classes)}
        true, guessed = (np.zeros((len(truth), len(classes)), np.bool_) for _ in range(2))
        likelihoods = np.zeros(true.shape, np.float32)
        for row, names in zip(true, truth, strict=True):
            row[[place[name] for name in names]] = True
        columns = [place[name] for name in known]
        guessed[:, columns], likelihoods[:, columns] = guess, probabilities
        return cls(classes, true, guessed, likelihoods)

    def sums(self, metric: Callable[[Float64, Float64, Float64], Float64]) -> SumScorer:
        """A metric of how many rows of each class were found, given, and are there, each of shape
        (resamples, classes)."""
        parts = [sparse.csr_array(a) for a in (self.true & self.guess, self.guess, self.true)]
        values = sparse.hstack(parts, format="csr", dtype=np.float64)
        return SumScorer(values, lambda sums: metric(*np.split(sums, 3, axis=1)))

    def of_class(self, metric: str) -> Scorer | None:
        """The figure of one class, by its name; rows are drawn among those of the class, and the rest."""
        figures = {
            of_class(figure, label): (figure, column)
            for column, label in enumerate(self.classes)
            for figure in OF_CLASSES
        }
        if metric not in figures:
            return None
        figure, column = figures[metric]
        true, guess = self.true[:, column], self.guess[:, column]
        values = np.stack([true & guess, guess, true], axis=-1).astype(np.float64)
        scorer = SumScorer(values, lambda sums: found(figure, *sums.T))
        return defined(replace(scorer, strata=true.astype(np.int64)))

    def area(self) -> AreaScorer:
        """The area under the ROC curve."""
        return AreaScorer(self.likelihoods, self.true)


def scorer_of(
    problem_type: str,
    metric: str,
    labels: Sequence[str],
    probabilities: Floats,
    known: Sequence[str],
) -> Scorer | None:
    """A metric of a problem type.

    Args:
        problem_type: transformers' name for it.
        metric: by name.
        labels: as the rows have them.
        probabilities: what the problem makes of the logits, shape (rows, labels).
        known: the model's labels, in order.
    """
    if problem_type == REGRESSION:
        return of_numbers(metric, labels, probabilities[:, 0])
    if problem_type == SINGLE:
        return of_classes(metric, labels, probabilities, known)
    return of_lists(metric, [classes(label) for label in labels], probabilities, known)


def of_classes(
    metric: str, labels: Sequence[str], probabilities: Floats, known: Sequence[str]
) -> Scorer | None:
    """A metric of single labels.

    Args:
        metric: by name.
        labels: of each row.
        probabilities: shape (rows, labels).
        known: the model's labels, in order.
    """
    best = np.eye(len(known), dtype=np.bool_)[probabilities.argmax(axis=-1)]
    answers = _Answers.of([[label] for label in labels], best, probabilities, known)
    if metric == "accuracy":
        return share_of((answers.true & answers.guess).any(axis=-1))
    strata = answers.true.argmax(axis=-1)
    if metric == "roc_auc":
        return defined(replace(answers.area(), strata=strata))
    if metric == "matthews_correlation":
        return defined(replace(answers.sums(_matthews), strata=strata))
    return _average(metric, answers, strata)


def of_lists(
    metric: str, labels: Sequence[Sequence[str]], probabilities: Floats, known: Sequence[str]
) -> Scorer | None:
    """A metric of any number of labels a row; see `of_classes`."""
    answers = _Answers.of(labels, probabilities > 0.5, probabilities, known)
    wrong = answers.true != answers.guess
    if metric == "accuracy":
        return share_of(~wrong.any(axis=-1))
    if metric == "hamming_loss":
        labelled = answers.true.any(axis=0).sum()
        return mean_of(wrong.sum(axis=-1) / labelled) if labelled else None
    if metric == "f1_micro":
        return defined(answers.sums(_micro))
    if metric == "f1_samples":
        hits = (answers.true & answers.guess).sum(axis=-1)
        sizes = answers.true.sum(axis=-1) + answers.guess.sum(axis=-1)
        return mean_of(divided(2 * hits, sizes, otherwise=0.0))
    return defined(answers.area()) if metric == "roc_auc" else _average(metric, answers, None)


def of_numbers(metric: str, labels: Sequence[str], guess: Floats) -> Scorer | None:
    """A metric of scores, one a row, shape (rows,)."""
    if not all(map(is_number, labels)):
        return None
    truth = np.array([float(label) for label in labels], np.float32).astype(np.float64)
    guessed = guess.astype(np.float64)
    if metric in ("mse", "loss"):
        return mean_of(np.square(guessed - truth))
    if metric == "mae":
        return mean_of(np.abs(guessed - truth))
    if metric == "spearman":
        return defined(SpearmanScorer(guessed, truth))
    if metric == "pearson":
        x, y = _standardized(guessed), _standardized(truth)
        values = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
        return defined(SumScorer(values, _pearson))
    return None


def _average(metric: str, answers: _Answers, strata: Numbers | None) -> Scorer | None:
    """The macro average of a figure over the classes, drawn within `strata`; its average weighted by
    their rows; or the figure of one class."""
    figure, _, weighted = metric.partition("_")
    if metric in OF_CLASSES:
        return defined(replace(answers.sums(partial(_macro, figure)), strata=strata))
    if figure in OF_CLASSES and weighted == "weighted":
        return defined(answers.sums(partial(_weighted, figure)))
    return answers.of_class(metric)


def _macro(figure: str, hits: Float64, guessed: Float64, true: Float64) -> Float64:
    each = found(figure, hits, guessed, true)
    return divided(np.nansum(each, axis=1), (true > 0).sum(axis=1), otherwise=np.nan)


def _weighted(figure: str, hits: Float64, guessed: Float64, true: Float64) -> Float64:
    each = found(figure, hits, guessed, true)
    return divided(np.nansum(each * true, axis=1), true.sum(axis=1), otherwise=np.nan)


def _micro(hits: Float64, guessed: Float64, true: Float64) -> Float64:
    return found("f1", hits.sum(axis=1), guessed.sum(axis=1), true.sum(axis=1))


def _matthews(hits: Float64, guessed: Float64, true: Float64) -> Float64:
    """Gorodkin's correlation over any number of classes: 0 for a constant guess, NaN for a constant
    truth."""
    rows = true.sum(axis=1)
    both = hits.sum(axis=1) * rows - (guessed * true).sum(axis=1)
    spread = [np.square(rows) - np.square(each).sum(axis=1) for each in (guessed, true)]
    correlation = divided(both, np.sqrt(spread[0]) * np.sqrt(spread[1]), otherwise=0.0)
    return np.where(spread[1] > 0, correlation, np.nan)


def _standardized(values: Float64) -> Float64:
    """With a mean of 0 and a deviation of 1, so that sums of squares lose no digits."""
    spread = float(values.std()) if np.ptp(values) > 0 else 1.0
    centred: Float64 = values - values.mean()
    return centred / spread


_NOTHING = 1e-12
"""A variance, of figures that vary by 1, that is rounding alone."""


def _pearson(sums: Float64) -> Float64:
    """Pearson's r; 0 for a constant guess, NaN for a constant truth."""
    means: Any = sums[:, 1:] / np.maximum(1, sums[:, :1])
    x, y, xx, yy, xy = means.T
    varies = [np.where(v > _NOTHING, v, 0.0) for v in (xx - x * x, yy - y * y)]
    r = divided(xy - x * y, np.sqrt(varies[0]) * np.sqrt(varies[1]), otherwise=0.0)
    return np.where(varies[1] > 0, np.clip(r, -1, 1), np.nan)
