"""Two models' right and wrong answers to the same rows: McNemar's test, and its interval.

Only the rows that one of the two alone has right say anything: `won` that the challenger alone has
right, `lost` that the reference alone has. If both are equally good each is a fair coin (McNemar 1947,
Psychometrika 12, 153). That the challenger is worse by a margin is tested as if it had won so many rows
more: with n rows and the margin m, n m rows. Against what holds at the boundary, where the expected
losses exceed the wins by n m, that makes the coin fair again, and since the rows added vary like rows
that were drawn, which they are not, the test errs on the safe side: the exact probability of its error,
summed over all outcomes, never exceeds alpha. (The score test of Nam 1997, Biometrics 53, 1422, and Tango
1998, Stat. Med. 17, 891, is a little sharper, and exceeds alpha several times over where alpha is small.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

STEPS = 60
"""Of the bisection of [-1, 1]: below what a float can tell apart."""


def p_value(won: Any, lost: Any, rows: Any, margin: Any) -> npt.NDArray[np.float64]:
    """The probability of so many wins, or more, if the challenger is worse by the margin; of arrays as
    well.

    Args:
        won: rows that the challenger alone has right.
        lost: rows that the reference alone has right.
        rows: all of them.
        margin: a share of the rows, from -1 to 1; below 0 it is a gain that the challenger is short of.
    """
    shift = np.multiply(rows, margin)
    wins, losses = won + np.maximum(shift, 0), lost + np.maximum(-shift, 0)
    # P(X >= wins) of a fair coin thrown wins + losses times, continued to counts that are not whole
    tail = betainc(np.where(wins > 0, wins, 1), losses + 1, 0.5)
    return np.where(wins > 0, tail, 1.0)


def lower_end(won: int, lost: int, rows: int, alpha: float) -> float:
    """The least difference, as a share of the rows, that the test does not reject at alpha."""
    rejected, kept = 1.0, -1.0  # margins
    if p_value(won, lost, rows, rejected) > alpha:
        return -1.0
    for _ in range(STEPS):
        middle = (rejected + kept) / 2
        if p_value(won, lost, rows, middle) > alpha:
            kept = middle
        else:
            rejected = middle
    return -rejected
