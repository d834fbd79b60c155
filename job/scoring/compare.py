"""Whether a challenger is better than a reference on the same rows: the difference and its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

from job.scoring import bootstrap, mcnemar
from job.tasks.scorers import Bools, Scorer, whole

POWER = 0.8
"""The probability that a difference of `Comparison.smallest` is shown."""


@dataclass(frozen=True)
class Comparison:
    """A challenger beside a reference, scored on the same rows."""

    test: str
    """`McNemar` or `paired bootstrap`."""
    rows: int
    reference: float
    challenger: float
    """The metric, in its own units."""
    difference: float
    """How much better the challenger is, in the metric's units; positive is better, of minimized metrics
    as well."""
    lower: float
    upper: float
    """The true difference is below `lower` with the probability alpha at most, and so it is above
    `upper`."""
    alpha: float
    smallest: float
    """How far above the bound the true difference must be for so many rows to show it at this alpha with
    a power of 80 %."""


@dataclass(frozen=True)
class _Reach:
    """How far from the difference it may be, in the metric's units."""

    below: float
    above: float
    smallest: float


def compare(
    challenger: Scorer,
    reference: Scorer,
    alpha: float,
    *,
    minimized: bool,
    bound: float = 0.0,
    seed: int = 0,
) -> Comparison:
    """Compare two models' answers to the same rows: by McNemar's test where the metric is the share of
    right rows, else by a paired bootstrap.

    Where there are no rows, or none that has anything to score, the scores and the difference are NaN
    and the ends infinite. So are a bootstrap's ends where alpha is 0.

    Args:
        alpha: of each of the two ends.
        minimized: whether the metric is better the lower it is.
        bound: what the difference is to be shown to be above, which `smallest` is counted from: a margin
            is below 0, a gain above. The interval does not depend on it.
        seed: of the bootstrap's draws.
    """
    old, new = whole(reference), whole(challenger)
    difference = old - new if minimized else new - old
    right = challenger.correct, reference.correct
    reach = _Reach(math.inf, math.inf, math.inf)
    if right[0] is not None and right[1] is not None:
        test = "McNemar"
        if reference.rows:
            reach = _mcnemar(right[0], right[1], alpha, bound, reference.scale)
    else:
        test = "paired bootstrap"
        if not math.isnan(difference):
            reach = _bootstrap(challenger, reference, alpha, minimized, seed)
    lower = difference - reach.below if math.isfinite(reach.below) else -math.inf
    upper = difference + reach.above if math.isfinite(reach.above) else math.inf
    return Comparison(
        test, reference.rows, old, new, difference, lower, upper, alpha, reach.smallest
    )


def _mcnemar(
    challenger: Bools, reference: Bools, alpha: float, bound: float, scale: float
) -> _Reach:
    rows = len(reference)
    won, lost = int((challenger & ~reference).sum()), int((reference & ~challenger).sum())
    difference = (won - lost) / rows
    shown = mcnemar.least_shown(won + lost, rows, alpha, bound / scale)
    return _Reach(
        scale * (difference - mcnemar.lower_end(won, lost, rows, alpha)),
        scale * (-mcnemar.lower_end(lost, won, rows, alpha) - difference),
        scale * (shown + _for_power(math.sqrt(won + lost) / rows)),
    )


def _bootstrap(
    challenger: Scorer, reference: Scorer, alpha: float, minimized: bool, seed: int
) -> _Reach:
    unit = abs(whole(reference)) if minimized else reference.scale
    # not cut at all rows: from what the rows show to the opposite of it the way is twice as far
    alike = unit * mcnemar.throws(alpha) / reference.rows
    spread = bootstrap.spread(challenger, reference, seed)
    if spread is None:
        return _Reach(alike, alike, alike)
    # what a few rows decide varies less in resamples than it would on other rows
    least = alike if spread.deciding < mcnemar.throws(alpha) else 0.0
    below, above, level = (
        max(least, reach(alpha)) for reach in (spread.below, spread.above, spread.level)
    )
    if minimized:
        below, above = above, below
    return _Reach(below, above, level + _for_power(spread.error))


def _for_power(error: float) -> float:
    """How far above an end the difference must be expected, to be above it with POWER."""
    return float(norm.ppf(POWER)) * error
