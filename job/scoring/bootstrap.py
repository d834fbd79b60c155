"""How the difference of two models' scores varies with the rows: a paired bootstrap.

Rows are drawn again and again with replacement, the same for both models, and the difference's standard
error is that over the resamples (Efron & Tibshirani 1993, An Introduction to the Bootstrap). A gate asks
for ends that fail as seldom as once in a million, which no number of resamples shows. So the ends are
Student's t times the standard error, with what leaving out rows shows about the error itself:

- how few rows it rests on, as degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2, 110);
- how skewed the difference is, by Hall's inverted Edgeworth expansion (1983, Ann. Stat. 11, 569), which
  moves an end away only, never nearer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from job.tasks.scorers import Scorer

Float64 = npt.NDArray[np.float64]

RESAMPLES = 4_000
"""The standard error is known to 1 %."""
GROUPS = 1_000
"""The most groups of rows that are left out in turn."""
LEAST = 5
"""Strata of fewer rows are resampled as one: alone they would seem to vary less than they do."""
ROUNDING = 1e-12
"""As a part of a difference: what varies no more than that does not vary."""
CELLS = 4_000_000
"""Counts held in memory at a time."""


@dataclass(frozen=True)
class Spread:
    """How a difference varies with the rows."""

    error: float
    """Its standard error."""
    deciding: float
    """How many rows, or groups of rows, it rests on: as many as would weigh equally."""
    freedom: float
    """The degrees of freedom of the error."""
    skewness: float

    def below(self, alpha: float) -> float:
        """How far the lower end is below the difference."""
        return self._reach(alpha, -self.skewness)

    def above(self, alpha: float) -> float:
        """How far the upper end is above the difference."""
        return self._reach(alpha, self.skewness)

    def level(self, alpha: float) -> float:
        """How far either would be if the difference were not skewed."""
        return self._reach(alpha, 0.0)

    def _reach(self, alpha: float, skewness: float) -> float:
        quantile = float(t.isf(alpha, self.freedom))
        reach = self.error * (quantile + max(0.0, skewness) * (2 * quantile**2 + 1) / 6)
        return reach if math.isfinite(reach) else math.inf


def spread(challenger: Scorer, reference: Scorer, seed: int) -> Spread | None:
    """How the difference of the two scores varies; None where no row makes any."""
    rows = reference.rows
    sample = Resampler(rows, reference.strata, seed)
    drawn = _differences(challenger, reference, sample.draws(RESAMPLES))
    error = float(drawn.std()) * math.sqrt(rows / max(1, rows - 1))
    if error <= ROUNDING * float(np.abs(drawn).max()):
        return None
    group, stratum = sample.groups()
    groups, free = len(stratum), len(stratum) - len(sample.strata)
    without = _differences(challenger, reference, _without(group, groups))
    # how many rows each stratum has is the same in every draw, and no row's doing
    mean = np.bincount(stratum, without) / np.bincount(stratum)
    influence = mean[stratum] - without
    influence[np.abs(influence) <= ROUNDING * np.abs(without)] = 0.0
    squares = float((influence**2).sum())
    if squares == 0:
        return Spread(error, 0.0, 1.0, 0.0)
    deciding = squares**2 / float((influence**4).sum())
    uneven = 1 / deciding - 1 / groups
    freedom = max(1.0, min(free, 2 / uneven) if uneven > 0 else free)
    return Spread(error, deciding, freedom, float((influence**3).sum()) / squares**1.5)


class Resampler:
    """Draws as many rows as there are, with replacement, each stratum from itself."""

    def __init__(self, rows: int, strata: npt.NDArray[np.int64] | None, seed: int) -> None:
        stratum = np.zeros(rows, np.int64) if strata is None else strata
        _, stratum, sizes = np.unique(stratum, return_inverse=True, return_counts=True)
        stratum = np.where(sizes[stratum] < LEAST, -1, stratum)
        self.rows = rows
        self.strata = [np.flatnonzero(stratum == each) for each in np.unique(stratum)]
        self.random = np.random.default_rng(seed)

    def groups(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which group each row is left out with, GROUPS of them at most and each of one stratum; and the
        stratum of each group. Small strata are a group at least."""
        group, stratum = np.empty(self.rows, np.int64), list[int]()
        for number, rows in enumerate(self.strata):
            own = max(1, len(rows) * min(self.rows, GROUPS) // self.rows)
            group[rows] = len(stratum) + np.arange(len(rows)) % own
            stratum += [number] * own
        return group, np.array(stratum)

    def draws(self, resamples: int) -> Iterator[Float64]:
        """How often each row is drawn, shape (some of the resamples, rows), until there are so many."""
        most = max(1, CELLS // self.rows)
        for first in range(0, resamples, most):
            size = min(most, resamples - first)
            counts = np.empty((size, self.rows))
            for rows in self.strata:
                drawn = self.random.integers(len(rows), size=(size, len(rows)))
                cells = drawn + len(rows) * np.arange(size)[:, np.newaxis]
                count = np.bincount(cells.ravel(), minlength=size * len(rows))
                counts[:, rows] = count.reshape(size, len(rows))
            yield counts


def _without(group: npt.NDArray[np.int64], groups: int) -> Iterator[Float64]:
    """All rows but one of the groups, for each group."""
    most = max(1, CELLS // len(group))
    for first in range(0, groups, most):
        left_out = np.arange(first, min(first + most, groups))[:, np.newaxis]
        yield np.where(group == left_out, 0.0, 1.0)


def _differences(challenger: Scorer, reference: Scorer, draws: Iterator[Float64]) -> Float64:
    return np.concatenate([challenger.score(each) - reference.score(each) for each in draws])
