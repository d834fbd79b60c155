"""Two models' right and wrong answers to the same rows: McNemar's test, and its interval.

Only the rows that one of the two alone has right say anything. If both models are equally good, each of
these is a fair coin (McNemar 1947, Psychometrika 12, 153). Whether the challenger is worse by a margin
is tested as if it had won so many rows more: n m of n rows with the margin m. Just at the margin that
makes wins and losses equally many on the average. Since rows that were drawn vary, and those added do
not, the test errs on the safe side: summed over all outcomes, the probability of its error never exceeds
alpha. (The score test of Nam 1997, Biometrics 53, 1422, and Tango 1998, Stat. Med. 17, 891, is a little
sharper, but exceeds a small alpha several times over.)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

Float64 = npt.NDArray[np.float64]

STEPS = 60
"""Of a bisection of [-1, 1]: to what a float can tell apart."""


def p_value(
    won: npt.ArrayLike, lost: npt.ArrayLike, rows: npt.ArrayLike, margin: npt.ArrayLike
) -> Float64:
    """The probability of so many wins, or more, if the challenger is worse by just the margin. Of numbers,
    or of arrays that broadcast.

    Args:
        won: rows that the challenger alone has right.
        lost: rows that the reference alone has right.
        rows: all of them.
        margin: a share of the rows, from -1 to 1; below 0 it is a gain.
    """
    shift = np.multiply(rows, margin)
    wins, losses = np.add(won, np.maximum(shift, 0)), np.add(lost, np.maximum(-shift, 0))
    # P(X >= wins) for a fair coin thrown wins + losses times, continued to counts that are not whole
    tail = betainc(np.where(wins > 0, wins, 1), losses + 1, 0.5)
    return np.where(wins > 0, tail, 1.0)


def lower_end(won: float, lost: float, rows: int, alpha: float) -> float:
    """The least true difference, as a share of the rows, that is not rejected at alpha.

    It is above -margin just where `p_value` of the margin is below alpha.
    """
    kept, rejected = -1.0, 1.0  # margins
    if p_value(won, lost, rows, rejected) >= alpha:
        return -1.0
    for _ in range(STEPS):
        middle = (kept + rejected) / 2
        if p_value(won, lost, rows, middle) < alpha:
            rejected = middle
        else:
            kept = middle
    return -rejected


def unseen(rows: int, alpha: float) -> float:
    """The largest share of rows in which two models may differ that answer all of these alike: where
    nobody has won and nobody lost, the lower end is as far below 0."""
    return min(1.0, -math.log2(alpha) / rows) if alpha > 0 else 1.0
