"""Whether a challenger is better than a reference on the same rows: the difference and its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from job.scoring.mcnemar import lower_end
from job.tasks.scorers import Scorer

POWER = 0.8
"""Of finding a difference as large as `Comparison.smallest`."""
RESAMPLES = 10_000
CELLS = 10_000_000
"""Counts that are held at a time."""


@dataclass(frozen=True)
class Comparison:
    """A challenger beside a reference, both scored on the same rows."""

    test: str
    """`McNemar` or `paired bootstrap`."""
    rows: int
    reference: float
    challenger: float
    """The metric, in its own units."""
    difference: float
    """How much better the challenger is, in the metric's units; positive is better, of minimized metrics as well."""
    lower: float
    upper: float
    """Each a bound of the true difference that fails with the probability alpha at most; infinite where
    the rows say nothing of it."""
    alpha: float
    smallest: float
    """How far the true difference must be above a bound for so many rows to show it at this alpha with a
    power of 80 %."""


def compare(
    challenger: Scorer, reference: Scorer, alpha: float, *, minimized: bool, seed: int = 0
) -> Comparison:
    """Compare two models' answers to the same rows, by McNemar's test where the metric is the share of
    right rows and by a paired bootstrap otherwise.

    Args:
        alpha: of each of the interval's ends.
        minimized: whether the metric is better the lower it is.
        seed: of the bootstrap's draws.
    """
    sign = -1 if minimized else 1
    ones = np.ones((1, reference.rows), dtype=np.int64)
    scores = [float(each.score(ones)[0]) for each in (reference, challenger)]
    difference = sign * (scores[1] - scores[0])
    if challenger.correct is not None and reference.correct is not None:
        test = "McNemar"
        lower, upper, error = _mcnemar(challenger.correct, reference.correct, alpha)
        scale = reference.scale
        lower, upper, error = lower * scale, upper * scale, error * scale
    else:
        test = "paired bootstrap"
        error = sign * _bootstrap(challenger, reference, seed)
        half = float(norm.isf(alpha)) * error
        lower, upper = difference - half, difference + half
    smallest = difference - lower + float(norm.ppf(POWER)) * error
    return Comparison(
        test, reference.rows, scores[0], scores[1], difference, lower, upper, alpha, smallest
    )


def _mcnemar(challenger, reference, alpha):
    rows = len(reference)
    won = int((challenger & ~reference).sum())
    lost = int((reference & ~challenger).sum())
    lower, upper = lower_end(won, lost, rows, alpha), -lower_end(lost, won, rows, alpha)
    variance = (won + lost) / rows - ((won - lost) / rows) ** 2
    return lower, upper, float(np.sqrt(variance / rows))


def _bootstrap(challenger, reference, seed):
    rng = np.random.default_rng(seed)
    rows = reference.rows
    found = []
    for _ in range(0, 2000, 100):
        counts = rng.multinomial(rows, np.full(rows, 1 / rows), size=100)
        found.append(challenger.score(counts) - reference.score(counts))
    return float(np.std(np.concatenate(found)))
