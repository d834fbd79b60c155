"""McNemar's test with a margin, beside exact sums over all that may happen."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.scoring.compare import compare
from job.scoring.mcnemar import lower_end, p_value, unseen
from job.tasks.scorers import share_of

COUNTS = st.integers(0, 60)
ALPHAS = (0.05, 0.025, 0.00833, 1e-3, 1e-4, 1e-6)


def coin(wins: int, losses: int) -> float:
    """P(X >= wins) in so many throws of a fair coin, in whole numbers."""
    throws = wins + losses
    ways = sum(math.comb(throws, k) for k in range(wins, throws + 1))
    return float(Fraction(ways, 2**throws))


@given(COUNTS, COUNTS, st.integers(0, 30))
def test_with_a_gain_it_is_mcnemars_of_so_many_more_lost(won: int, lost: int, added: int) -> None:
    exact = coin(won, lost + added)
    assert p_value(won, lost, 200, -added / 200) == pytest.approx(exact, rel=1e-9)


@given(COUNTS, COUNTS, st.integers(1, 40))
def test_with_a_margin_the_coin_is_thrown_as_often_as_net_wins_vary(
    won: int, lost: int, added: int
) -> None:
    def rising(wins: float) -> bool:  # the likelihood, with the average number of wins
        return won / wins + lost / (wins + added) > 2

    low, high = 1e-12, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) else (low, middle)
    throws, net = 2 * low + added, won - lost + added
    found = float(p_value(won, lost, 200, added / 200))
    if net <= -throws + 1e-6:
        assert found > 0.999
        return
    # between those of whole throws that are as many, or one fewer and one more
    fewer, more = (throws - net) / 2, (throws + net) / 2
    assert coin(math.ceil(more), math.floor(fewer)) <= found * (1 + 1e-6)
    assert found <= coin(math.floor(more), math.ceil(fewer)) * (1 + 1e-6)


@given(COUNTS, COUNTS, st.integers(0, 500), st.sampled_from(ALPHAS), st.floats(-1, 1))
def test_the_interval_ends_where_the_test_begins_to_reject(
    won: int, lost: int, alike: int, alpha: float, margin: float
) -> None:
    rows = won + lost + alike
    if rows == 0:
        return
    end = lower_end(won, lost, rows, alpha)
    assert -1 <= end <= (won - lost) / rows
    if abs(end + margin) > 1e-9:
        assert (end > -margin) == (p_value(won, lost, rows, margin) < alpha)
    assert end <= lower_end(won, lost, rows, 2 * alpha)
    assert end <= lower_end(won + 1, lost, rows + 1, alpha) + 1 / rows
    assert lower_end(0, 0, rows, alpha) == pytest.approx(-unseen(rows, alpha), abs=1e-12)


def error_at_the_boundary(rows: int, margin: float, discordant: float, alpha: float) -> float:
    """The probability that a challenger worse by just the margin is found not to be: every outcome's
    probability, summed over those that the test rejects."""
    win, lose = (discordant - margin) / 2, (discordant + margin) / 2
    most = min(rows, int(rows * max(win, lose) + 9 * math.sqrt(rows * max(win, lose)) + 20))
    won, lost = np.arange(most + 1)[:, None], np.arange(most + 1)[None, :]
    alike = rows - won - lost
    log = np.vectorize(math.lgamma)
    with np.errstate(divide="ignore", invalid="ignore"):
        chances = [n * np.log(p) if p > 0 else np.where(n > 0, -np.inf, 0.0)
                   for n, p in ((won, win), (lost, lose), (alike, 1 - discordant))]  # fmt: skip
        ways = math.lgamma(rows + 1) - log(won + 1) - log(lost + 1) - log(np.maximum(alike, 0) + 1)
        probability = np.where(alike >= 0, np.exp(np.minimum(0, ways + sum(chances))), 0.0)
    assert probability.sum() == pytest.approx(1, abs=1e-9)
    return float(probability[p_value(won, lost, rows, margin) < alpha].sum())


@pytest.mark.parametrize("rows", [1, 3, 10, 50, 200])
@pytest.mark.parametrize("margin", [-0.1, -0.01, 0.0, 0.002, 0.005, 0.01, 0.03, 0.2, 0.6])
def test_the_error_never_exceeds_alpha(rows: int, margin: float) -> None:
    for discordant in {abs(margin), 1.1 * abs(margin), 1.3 * abs(margin) + 0.01, 0.06, 0.3, 1.0}:
        if abs(margin) <= discordant <= 1:
            for alpha in ALPHAS:
                error = error_at_the_boundary(rows, margin, discordant, alpha)
                assert error <= alpha, (discordant, alpha)


def answers(won: int, lost: int, both: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    challenger = np.repeat([True, False, True, False], [won, lost, both, neither])
    reference = np.repeat([False, True, True, False], [won, lost, both, neither])
    return challenger, reference


def test_compare_takes_it_for_the_share_of_right_rows_in_any_unit() -> None:
    challenger, reference = answers(won=40, lost=20, both=900, neither=40)
    shares = compare(share_of(challenger), share_of(reference), 0.025, minimized=False)
    assert (shares.test, shares.rows, shares.alpha) == ("McNemar", 1000, 0.025)
    assert (shares.reference, shares.challenger) == pytest.approx((0.92, 0.94))
    assert shares.difference == pytest.approx(0.02)
    assert shares.lower == pytest.approx(lower_end(40, 20, 1000, 0.025))
    assert shares.upper == pytest.approx(-lower_end(20, 40, 1000, 0.025))
    percents = compare(
        share_of(challenger, 100.0), share_of(reference, 100.0), 0.025, minimized=False
    )
    for figure in ("reference", "challenger", "difference", "lower", "upper", "smallest"):
        assert getattr(percents, figure) == pytest.approx(100 * getattr(shares, figure))
    swapped = compare(share_of(reference), share_of(challenger), 0.025, minimized=False)
    assert (swapped.lower, swapped.upper) == pytest.approx((-shares.upper, -shares.lower))


def test_answers_that_are_alike_show_as_much_as_there_are_rows() -> None:
    few, many = (share_of([True] * rows) for rows in (100, 10_000))
    assert compare(few, few, 0.025, minimized=False).lower == pytest.approx(-0.0532, abs=1e-4)
    assert compare(many, many, 0.025, minimized=False).lower == pytest.approx(-0.000532, abs=1e-6)
    one = compare(share_of([True]), share_of([False]), 0.025, minimized=False)
    assert (one.difference, one.lower, one.upper) == (1.0, -1.0, 1.0)


def test_nothing_is_shown_without_rows_or_with_nothing_left_to_spend() -> None:
    none = compare(share_of([]), share_of([]), 0.025, minimized=False)
    assert math.isnan(none.difference)
    assert (none.rows, none.lower, none.upper, none.smallest) == (0, -math.inf, math.inf, math.inf)
    challenger, reference = answers(won=9_000, lost=0, both=900, neither=100)
    unspent = compare(share_of(challenger), share_of(reference), 0.0, minimized=False)
    assert unspent.lower == pytest.approx(-1.0)


@pytest.mark.parametrize("alpha", [0.025, 1e-4])
@pytest.mark.parametrize("bound", [-0.02, 0.0, 0.01])
@pytest.mark.parametrize("rows", [1_000, 4_000])
def test_the_smallest_difference_is_shown_with_its_power(
    rows: int, bound: float, alpha: float
) -> None:
    discordant = round(0.08 * rows)
    asked = answers(discordant // 2, discordant // 2, rows - discordant, 0)
    pair = share_of(asked[0]), share_of(asked[1])
    smallest = compare(*pair, alpha, minimized=False, bound=bound).smallest
    random = np.random.default_rng(3)
    true = bound + smallest
    chances = [0.04 + true / 2, max(0.0, 0.04 - true / 2), min(0.92, 1 - 0.04 - true / 2)]
    won, lost, _ = random.multinomial(rows, chances, size=20_000).T
    assert np.mean(p_value(won, lost, rows, -bound) < alpha) == pytest.approx(0.8, abs=0.06)
