"""What a model made of held-out rows, as one metric sees it: scored whole, in part, or resampled.

Most metrics follow from sums over the rows of a few figures each. Such sums are taken for many
resamples at once by one matrix product, so that a metric of the whole corpus (F1, BLEU, perplexity)
costs no more than a mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

PERCENT = 100.0
"""The scale of metrics in percent."""


class Scorer(Protocol):
    """A model's answers to the same rows as another model's, as one metric sees them."""

    @property
    def rows(self) -> int:
        """How many can be resampled: cleaned rows, or blocks where rows are packed."""

    @property
    def correct(self) -> Bools | None:
        """Which rows are right, shape (rows,), where the metric is their share; else None."""

    @property
    def scale(self) -> float:
        """1, or 100 for a metric in percent."""

    @property
    def strata(self) -> Numbers | None:
        """What to resample within, shape (rows,): the row's true class, for metrics in which each
        class counts; else None."""

    def score(self, counts: npt.NDArray[Any]) -> Float64:
        """The metric of each resample, shape (resamples,).

        NaN where none of this scorer's rows has anything to score, as a class's F1 in rows without
        that class. A resample that happens to have nothing, of rows that have something, scores 0.

        Args:
            counts: how often each row is drawn, shape (resamples, rows).
        """

    def take(self, rows: Numbers) -> Scorer:
        """The same of these rows alone."""


def whole(scorer: Scorer) -> float:
    """The metric over each row once."""
    return float(scorer.score(np.ones((1, scorer.rows)))[0])


def defined(scorer: Scorer) -> Scorer | None:
    """The scorer, or None where its rows have nothing to score."""
    return None if np.isnan(whole(scorer)) else scorer


@dataclass(frozen=True, eq=False)
class SumScorer:
    """A metric that follows from sums over the rows."""

    values: Any
    """Shape (rows, figures): an array, or a sparse one of scipy's."""
    metric: Callable[[Float64], Float64]
    """From sums, shape (resamples, figures), to the metric, shape (resamples,); NaN where these sums
    have nothing to score."""
    scale: float = 1.0
    strata: Numbers | None = None
    correct: Bools | None = None

    @property
    def rows(self) -> int:
        """See Scorer."""
        return int(self.values.shape[0])

    def score(self, counts: npt.NDArray[Any]) -> Float64:
        """See Scorer."""
        sums: Float64 = np.asarray(counts, np.float64) @ self.values
        return _filled(self.metric(sums), self.metric(self.values.sum(axis=0)[np.newaxis]))

    def take(self, rows: Numbers) -> SumScorer:
        """See Scorer."""
        strata = None if self.strata is None else self.strata[rows]
        correct = None if self.correct is None else self.correct[rows]
        return replace(self, values=self.values[rows], strata=strata, correct=correct)


def mean_of(values: npt.ArrayLike, scale: float = 1.0) -> SumScorer:
    """The mean of a figure of each row, times `scale`."""
    figures = np.asarray(values, np.float64) * scale
    return SumScorer(np.stack([figures, np.ones_like(figures)], axis=-1), quotient, scale)


def share_of(correct: npt.ArrayLike, scale: float = 1.0) -> SumScorer:
    """The share of the rows that are right, times `scale`."""
    right = np.asarray(correct, np.bool_)
    return replace(mean_of(right, scale), correct=right)


def quotient(sums: Float64) -> Float64:
    """The first sum over the second; NaN where that is 0."""
    return divided(sums[:, 0], sums[:, 1], otherwise=np.nan)


def divided(dividend: Float64, divisor: Float64, *, otherwise: float) -> Float64:
    """The quotient, and `otherwise` where the divisor is 0."""
    quotients = np.full(dividend.shape, otherwise)
    np.divide(dividend, divisor, out=quotients, where=divisor > 0)
    return quotients


def found(figure: str, hits: Float64, guessed: Float64, true: Float64) -> Float64:
    """`precision`, `recall` or `f1` from sums, NaN where there is nothing to find.

    Args:
        figure: which of them.
        hits: how many were found rightly.
        guessed: how many the model says there are.
        true: how many there are.
    """
    both = {"precision": (hits, guessed), "recall": (hits, true), "f1": (2 * hits, guessed + true)}
    return np.where(true > 0, divided(*both[figure], otherwise=0.0), np.nan)


@dataclass(frozen=True, eq=False)
class SpearmanScorer:
    """Spearman's rank correlation of predicted and true numbers; 0 for a constant prediction."""

    guess: Float64
    """Shape (rows,)."""
    truth: Float64
    scale: float = 1.0
    strata: Numbers | None = None
    correct: Bools | None = None

    @property
    def rows(self) -> int:
        """See Scorer."""
        return len(self.truth)

    def score(self, counts: npt.NDArray[Any]) -> Float64:
        """See Scorer."""
        every = np.ones((1, self.rows))
        return _filled(self._correlation(counts), self._correlation(every))

    def _correlation(self, counts: npt.NDArray[Any]) -> Float64:
        draws = _draws(counts)
        both, squares = draws, []
        for order in self._orders:
            drawn = order.sums(draws)
            ranks = np.cumsum(drawn, axis=0) - drawn / 2 - drawn.sum(axis=0) / 2
            both = both * ranks[order.place]
            squares.append((drawn * ranks * ranks).sum(axis=0))
        spread = np.sqrt(squares[0]) * np.sqrt(squares[1])
        correlation = divided(both.sum(axis=0), spread, otherwise=0.0)
        return np.where(squares[1] > 0, correlation, np.nan)

    @cached_property
    def _orders(self) -> tuple[_Order, _Order]:
        """Rows of one figure share the mean of their ranks."""
        return _Order.of(self.guess), _Order.of(self.truth)

    def take(self, rows: Numbers) -> SpearmanScorer:
        """See Scorer."""
        return replace(self, guess=self.guess[rows], truth=self.truth[rows])


@dataclass(frozen=True, eq=False)
class AreaScorer:
    """The area under the ROC curve, the mean over the classes that some but not all rows are of."""

    likelihoods: npt.NDArray[Any]
    """How likely each class is to the model, shape (rows, classes)."""
    truth: Bools
    """The classes of each row, shape (rows, classes)."""
    strata: Numbers | None = None
    scale: float = 1.0
    correct: Bools | None = None

    @property
    def rows(self) -> int:
        """See Scorer."""
        return len(self.truth)

    def score(self, counts: npt.NDArray[Any]) -> Float64:
        """See Scorer."""
        return _filled(self._mean_area(counts), self._mean_area(np.ones((1, self.rows))))

    def _mean_area(self, counts: npt.NDArray[Any]) -> Float64:
        draws = _draws(counts)
        total, classes = np.zeros(len(counts)), np.zeros(len(counts))
        for order, of_class in zip(self._orders, self.truth.T, strict=True):
            area = _area(order, of_class, draws)
            total += np.nan_to_num(area)
            classes += ~np.isnan(area)
        return divided(total, classes, otherwise=np.nan)

    @cached_property
    def _orders(self) -> list[_Order]:
        """For each class the rows by how likely it is; those between two rows of the class together."""
        return [
            _Order.of(likelihoods).merged(of_class)
            for likelihoods, of_class in zip(self.likelihoods.T, self.truth.T, strict=True)
        ]

    def take(self, rows: Numbers) -> AreaScorer:
        """See Scorer."""
        strata = None if self.strata is None else self.strata[rows]
        return replace(
            self, likelihoods=self.likelihoods[rows], truth=self.truth[rows], strata=strata
        )


@dataclass(frozen=True, eq=False)
class _Order:
    """Rows in the order of a figure, in groups."""

    place: Numbers
    """The number of each row's group, shape (rows,); a higher one has higher figures."""
    groups: int

    @classmethod
    def of(cls, figures: npt.NDArray[Any]) -> _Order:
        """A group for each distinct figure."""
        distinct, place = np.unique(figures, return_inverse=True)
        return cls(place, len(distinct))

    def merged(self, apart: Bools) -> _Order:
        """The same with all groups as one that lie between those of the rows that stay apart."""
        stays = np.bincount(self.place, apart, self.groups) > 0
        begins = stays | np.concatenate([[True], stays[:-1]])[: self.groups]
        return _Order((np.cumsum(begins) - 1)[self.place], int(begins.sum()))

    def sums(self, weights: Float64, rows: Bools | None = None) -> Float64:
        """The weights of the rows of each group, or of some of its rows.

        Args:
            weights: shape (rows, resamples).
            rows: which count, shape (rows,); by default all do.
        """
        from scipy import sparse

        counted = np.arange(len(self.place)) if rows is None else np.flatnonzero(rows)
        at = (self.place[counted], counted)
        shape = (self.groups, len(self.place))
        sums: Float64 = sparse.csr_array((np.ones(len(counted)), at), shape) @ weights
        return sums


def _area(order: _Order, of_class: Bools, draws: Float64) -> Float64:
    """How often a row of the class is likelier to be of it than one that is not, equal ones counting
    half, shape (resamples,); NaN where all rows that are drawn are of the class, or none."""
    right = order.sums(draws, of_class)
    others = order.sums(draws) - right
    before = np.cumsum(others, axis=0) - others / 2
    pairs = right.sum(axis=0) * others.sum(axis=0)
    return divided((right * before).sum(axis=0), pairs, otherwise=np.nan)


def _draws(counts: npt.NDArray[Any]) -> Float64:
    """Counts by row, shape (rows, resamples): those of a row together, as sums over rows need them."""
    return np.ascontiguousarray(counts.T, np.float64)


def _filled(scores: Float64, over_all: Float64) -> Float64:
    """The scores, with 0 for a resample that has nothing to score, unless no row has."""
    return scores if np.isnan(over_all[0]) else np.nan_to_num(scores, nan=0.0)
