"""What the nights may spend, beside the same rule in fractions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.registry.spending import Spending

TOTALS = st.floats(1e-6, 0.999)


@given(TOTALS, st.integers(1, 150))
def test_the_kth_test_gets_its_share_and_all_together_never_more_than_the_total(
    total: float, nights: int
) -> None:
    spending, exactly, before = Spending(life_alpha=total), Fraction(0), 1.0
    for k in range(1, nights + 1):
        share = Fraction(total) / (k * (k + 1))
        assert spending.alpha == pytest.approx(float(share), rel=1e-9)
        assert 0 < spending.alpha < before
        exactly, before, spending = exactly + share, spending.alpha, spending.looked()
        assert spending.looks == k
        assert spending.spent == pytest.approx(float(exactly), rel=1e-12)
        assert Fraction(spending.spent) <= Fraction(total)
        assert spending.left + spending.spent == pytest.approx(total, rel=1e-15)
    assert spending.left == pytest.approx(total / (nights + 1), rel=1e-9)


@given(st.lists(st.tuples(TOTALS, st.integers(0, 60)), min_size=1, max_size=6))
def test_a_total_that_changes_midway_is_never_exceeded(lives: list[tuple[float, int]]) -> None:
    spending, exactly = Spending(), Fraction(0)
    for total, nights in lives:
        spending = replace(spending, life_alpha=total)
        allowed = max(Fraction(total), exactly)  # what is spent stays spent
        for _ in range(nights):
            left = max(Fraction(0), Fraction(total) - Fraction(spending.spent))
            assert spending.alpha == pytest.approx(float(left / (spending.looks + 2)), rel=1e-9)
            exactly += Fraction(spending.alpha)
            spending = spending.looked()
            assert exactly <= allowed * (1 + Fraction(1, 10**12))
            assert 0 <= spending.alpha <= spending.left


def test_a_lower_total_that_is_spent_leaves_nothing_and_a_higher_one_something_again() -> None:
    spending = Spending(life_alpha=0.1)
    for _ in range(9):
        spending = spending.looked()
    assert spending.spent == pytest.approx(0.09)
    lower = replace(spending, life_alpha=0.05)
    assert (lower.left, lower.alpha, lower.looked().spent) == (0.0, 0.0, spending.spent)
    higher = replace(lower.looked(), life_alpha=0.2)
    assert higher.alpha == pytest.approx(0.11 / 12)
