"""How far the night's rows are from what a model knows, and how often chance alone brings that about.

Each distance comes with the probability of one as large where nothing has changed, so that twenty rows
raise no alarm: a test of its own for each, or, for a part of the rows, the probability of so many where
the true part is no larger than the bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from job.scoring.bootstrap import Resampler
from job.tasks.scorers import Scorer, whole

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

DRAWS = 9_999
"""Permutations; the least probability that they show is one in ten thousand."""
MOST = 500_000_000
"""Labels that permutations are drawn of."""
RESAMPLES = 1_000
CHUNK = 50
FEWEST = 10
"""Rows of which a metric's spread can be told."""


class Distance(NamedTuple):
    """A distance, and how probable one as large is by chance."""

    value: float
    chance: float


NONE = Distance(0.0, 1.0)


def total_variation(new: Mapping[str, int], known: Mapping[str, int]) -> Distance:
    """Between the relative frequencies of labels, by a permutation test: in [0, 1].

    Args:
        new: how often each label occurs in the new rows.
        known: the same of the rows that a model was trained on.
    """
    labels = sorted(new.keys() | known.keys())
    counts = np.array([[part.get(label, 0) for label in labels] for part in (new, known)])
    if not counts.sum(axis=1).all():
        return NONE
    # of more than a thousand million the draws are not made; fewer tell the same
    counts = -(-counts // (counts.sum() // MOST + 1))
    sizes = counts.sum(axis=1)
    both = counts.sum(axis=0)
    value = _variation(counts[0], both, sizes)
    random = np.random.default_rng(0)
    size, larger = max(1, 10_000_000 // len(labels)), 0
    for start in range(0, DRAWS, size):
        draws = min(size, DRAWS - start)
        drawn = random.multivariate_hypergeometric(both, sizes[0], size=draws, method="marginals")
        larger += int((_variation(drawn, both, sizes) >= value - 1e-12).sum())
    return Distance(float(value), (larger + 1) / (DRAWS + 1))


def _variation(
    new: npt.NDArray[np.int64], both: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> Floats:
    """Of one division of the rows, or of several, one a row of `new`."""
    apart = np.abs(new / sizes[0] - (both - new) / sizes[1])
    return np.asarray(apart.sum(axis=-1) / 2)


class Missing(NamedTuple):
    """Labels that are too frequent to be missing by chance."""

    labels: frozenset[str]
    distance: Distance
    """The part of the rows before that have them."""


def missing(new: Mapping[str, int], known: Mapping[str, int], level: float) -> Missing:
    """Labels that a model was trained on and that are too frequent to be missing from the new rows by
    chance.

    Args:
        level: the probability up to which an absence is none of chance's, over all labels together.
    """
    rows, total = sum(new.values()), sum(known.values())
    if not rows or not total:
        return Missing(frozenset(), NONE)
    shares = {label: known[label] / total for label in known if not new.get(label)}
    chances = {label: (1 - share) ** rows * len(known) for label, share in shares.items()}
    absent = frozenset(label for label, chance in chances.items() if chance < level)
    if not absent:
        return Missing(absent, NONE)
    part = sum(shares[label] for label in absent)
    return Missing(absent, Distance(part, max(chances[label] for label in absent)))


def kolmogorov_smirnov(new: npt.ArrayLike, known: npt.ArrayLike) -> Distance:
    """Between two samples of numbers: the largest distance between their distribution functions. Equal
    numbers make the test careful."""
    from scipy.stats import ks_2samp

    one, other = np.asarray(new), np.asarray(known)
    if not len(one) or not len(other):
        return NONE
    result = ks_2samp(one, other, method="asymp")
    return Distance(float(result.statistic), float(result.pvalue))


def higher(new: tuple[Floats, Floats], known: tuple[Floats, Floats]) -> Distance:
    """By how much a part of the tokens is higher, over all rows; by a permutation test of the rows.

    Args:
        new: how many tokens of each row count, and how many it has, each of shape (rows,).
        known: the same of the rows to compare with.
    """
    from scipy.stats import permutation_test

    if not all(sizes.sum() for _, sizes in (new, known)):
        return NONE
    counts, sizes = (np.concatenate(pair) for pair in zip(new, known, strict=True))

    def difference(one: Rows, other: Rows, axis: int) -> Floats:
        shares = [
            counts[r].sum(axis=axis) / np.maximum(1, sizes[r].sum(axis=axis)) for r in (one, other)
        ]
        return np.asarray(shares[0] - shares[1])

    rows = np.split(np.arange(len(counts)), [len(new[0])])
    value = float(difference(rows[0], rows[1], 0))
    if value <= 0:
        return Distance(value, 1.0)
    result = permutation_test(
        rows, difference, n_resamples=DRAWS, batch=CHUNK, alternative="greater", rng=0
    )
    return Distance(value, float(result.pvalue))


def part(count: int, of: int, bound: float) -> Distance:
    """A part of the rows, beside the chance that so many are found where the true part is the bound."""
    from scipy.stats import binom

    return Distance(count / of, float(binom.sf(count - 1, of, bound))) if of else NONE


def drop(new: Scorer, known: Scorer, *, minimized: bool) -> Distance:
    """How much worse a model scores on other rows, as a part of its score on those that it knows: by
    Fisher's exact test where the metric is the share of right rows, otherwise by a bootstrap of both.

    Args:
        minimized: whether the metric is better the lower it is.
    """
    one, other = whole(new), whole(known)
    worse = one - other if minimized else other - one
    if not other or not np.isfinite(worse):
        return NONE
    value = worse / abs(other)
    if new.correct is not None and known.correct is not None:
        return Distance(value, _fisher(new.correct, known.correct))
    return Distance(value, _tail(worse, new, known))


def _fisher(new: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> float:
    from scipy.stats import fisher_exact

    table = [[int(each.sum()), int((~each).sum())] for each in (new, known)]
    return float(fisher_exact(table, alternative="less").pvalue)


def _tail(worse: float, new: Scorer, known: Scorer) -> float:
    from scipy.stats import norm

    if min(new.rows, known.rows) < FEWEST:
        return 1.0
    error = float(np.hypot(_spread(new, 0), _spread(known, 1)))
    if not error:
        return float(worse <= 0)
    return float(norm.sf(worse / error))


def _spread(scorer: Scorer, seed: int) -> float:
    """The standard deviation of the metric over resamples of the rows."""
    draws = Resampler(scorer.rows, scorer.strata, seed).draws(RESAMPLES)
    return float(np.nanstd(np.concatenate([scorer.score(counts) for counts in draws])))
