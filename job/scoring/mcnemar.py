"""Two models' right and wrong answers to the same rows: McNemar's test, with a margin, and its interval.

Only rows that one of the two alone has right say anything. If both models are equally good, each of these
is a fair coin (McNemar 1947, Psychometrika 12, 153). Whether the challenger is worse by a margin is
tested as if it had won so many rows more, n m of n rows: just at the margin, wins and losses are then
equally many on the average. The coin is thrown as often as the net wins vary there, by the likeliest
numbers of wins and losses, both Poisson, that lie n m apart; the score test of Nam (1997, Biometrics 53,
1422) and Tango (1998, Stat. Med. 17, 891) does that as well, with a normal tail in place of the coin's, and
exceeds a small alpha several times over. This one never does: summed over all that may happen, the
probability of its error is at most alpha, whatever the rows, the margin and the share that is discordant.
For a gain in place of a margin that takes a throw for each row that it asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

Float64 = npt.NDArray[np.float64]

STEPS = 60
"""Of a bisection: to what a float can tell apart."""


def p_value(
    won: npt.ArrayLike, lost: npt.ArrayLike, rows: npt.ArrayLike, margin: npt.ArrayLike
) -> Float64:
    """The probability of so many net wins, or more, if the challenger is worse by just the margin; of
    numbers, or of arrays that broadcast.

    Args:
        won: rows that the challenger alone has right.
        lost: rows that the reference alone has right.
        rows: all of them.
        margin: a share of the rows, from -1 to 1; below 0 it is a gain.
    """
    shift = np.multiply(rows, margin)
    discordant, net = np.add(won, lost), np.subtract(won, lost) + shift
    # the variance 2w + shift of Poisson wins, w on the average, and losses, w + shift, for the likeliest w
    likeliest = (discordant + np.sqrt(np.maximum(0, discordant**2 + 4 * shift * net))) / 2
    throws = np.where(shift > 0, likeliest, discordant - shift)
    wins, losses = (throws + net) / 2, np.maximum(0, throws - net) / 2
    # P(X >= wins) for a fair coin, continued to numbers that are not whole
    tail = betainc(np.where(wins > 0, wins, 1), losses + 1, 0.5)
    return np.where(wins > 0, tail, 1.0)


def lower_end(won: int, lost: int, rows: int, alpha: float) -> float:
    """The least true difference, as a share of the rows, that is not rejected at alpha.

    It is above -margin just where `p_value` of the margin is below alpha.
    """
    return -_first(lambda margin: p_value(won, lost, rows, margin) < alpha, -1.0, 1.0)


def least_shown(discordant: int, rows: int, alpha: float, bound: float) -> float:
    """How far above a bound, as shares of the rows, the difference must be observed to be for the test to
    reject the bound at alpha.

    Args:
        discordant: rows that one of the two models alone has right.
        bound: from -1 to 1.
    """

    def shown(above: float) -> bool:
        net = rows * (bound + above)
        won = max(0.0, net, (discordant + net) / 2)
        lost = won - net
        return bool(p_value(won, lost, rows, -bound) < alpha)

    return _first(shown, 0.0, 1.0 - bound)


def unseen(rows: int, alpha: float) -> float:
    """The largest share of rows in which two models may differ that answer all of these alike: where
    nobody has won and nobody lost, the lower end is as far below 0."""
    return min(1.0, throws(alpha) / rows)


def throws(alpha: float) -> float:
    """How often a fair coin must fall on the same side to be less likely than alpha."""
    return -math.log2(alpha) if alpha > 0 else math.inf


def _first(holds: Callable[[float], object], low: float, high: float) -> float:
    """From where to `high` something holds; `high` where it does not even there."""
    if not holds(high):
        return high
    for _ in range(STEPS):
        middle = (low + high) / 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
