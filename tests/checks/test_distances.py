"""Distances that are large where something has changed, and chances that are small only then."""

from __future__ import annotations

import numpy as np
import pytest

from job.checks.distances import (
    Distance,
    drop,
    higher,
    kolmogorov_smirnov,
    missing,
    part,
    total_variation,
)
from job.checks.findings import LEVEL
from job.tasks.scorers import mean_of, share_of

LABELS = {"ham": 870, "spam": 130}


def drawn(rows: int, seed: int) -> dict[str, int]:
    """Labels of rows like LABELS."""
    spam = int(np.random.default_rng(seed).binomial(rows, 0.13))
    return {"ham": rows - spam, "spam": spam}


def counts(distance: Distance, bound: float) -> bool:
    return distance.value > bound and distance.chance < LEVEL


def test_other_labels_are_far_away_and_the_same_ones_by_chance_only() -> None:
    assert total_variation({"ham": 50, "spam": 50}, LABELS).value == pytest.approx(0.37)
    assert counts(total_variation({"ham": 500, "spam": 500}, LABELS), 0.1)
    assert counts(total_variation({"ham": 200}, LABELS), 0.1)
    assert not counts(total_variation({"ham": 10}, LABELS), 0.1)
    assert total_variation({}, LABELS) == total_variation(LABELS, {}) == Distance(0.0, 1.0)
    far = total_variation({"ham": 870 * 10**8, "spam": 130}, {"ham": 870, "spam": 130 * 10**8})
    assert far.value == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("rows", [20, 300])
def test_rows_like_those_before_raise_no_alarm(rows: int) -> None:
    shifts = [total_variation(drawn(rows, seed), LABELS) for seed in range(40)]
    assert max(each.value for each in shifts) > 0.02
    assert not any(counts(each, 0.02) for each in shifts)
    random = np.random.default_rng(rows)
    known = random.poisson(12, 400)
    lengths = [kolmogorov_smirnov(random.poisson(12, rows), known) for _ in range(40)]
    assert not any(counts(each, 0.02) for each in lengths)
    scored = share_of(random.random(400) < 0.95)
    drops = [drop(share_of(random.random(rows) < 0.95), scored, minimized=False) for _ in range(40)]
    assert max(each.value for each in drops) > 0
    assert not any(counts(each, 0.0) for each in drops)


def test_a_label_is_missing_where_chance_would_have_brought_it() -> None:
    labels = {**LABELS, "rare": 2}
    assert missing({"ham": 100}, labels, LEVEL).labels == {"spam"}
    assert missing({"ham": 100}, labels, LEVEL).distance.value == pytest.approx(130 / 1002)
    assert not missing({"ham": 20}, labels, LEVEL).labels
    assert missing({"ham": 9000}, labels, LEVEL).labels == {"spam", "rare"}
    assert not missing({}, labels, LEVEL).labels
    assert not missing(LABELS, {**LABELS, "never": 0}, LEVEL).labels


def test_a_part_of_the_rows_counts_where_the_true_part_may_not_be_the_bound() -> None:
    assert counts(part(40, 100, 0.2), 0.2)
    assert not counts(part(5, 20, 0.2), 0.2)
    assert not counts(part(19, 100, 0.2), 0.2)
    assert part(0, 0, 0.2) == Distance(0.0, 1.0)
    assert counts(part(1, 1000, 0.0), 0.0)


def test_lengths_and_unknown_tokens_of_another_language() -> None:
    random = np.random.default_rng(0)
    assert counts(kolmogorov_smirnov(random.poisson(20, 60), random.poisson(12, 400)), 0.2)
    assert kolmogorov_smirnov([], [1, 2]) == Distance(0.0, 1.0)
    sizes = random.poisson(12, 400).astype(float) + 1
    none, half = np.zeros(400), (sizes / 2).round()
    shift = higher((half[:40], sizes[:40]), (none, sizes))
    assert counts(shift, 0.05)
    assert shift.value == pytest.approx(0.5, abs=0.05)
    assert higher((none, sizes), (none, sizes)) == Distance(0.0, 1.0)
    once = np.zeros(20)
    once[3] = sizes[3]
    lone = higher((once, sizes[:20]), (none, sizes))
    assert lone.value > 0.02
    assert not counts(lone, 0.02), "any of the rows may be the one that is in another language"


def test_a_score_drops_where_labels_are_flipped_and_by_its_part_of_the_score_before() -> None:
    random = np.random.default_rng(0)
    right = random.random(400) < 0.97
    flipped = right[:150] & (random.random(150) > 0.3)
    found = drop(share_of(flipped), share_of(right), minimized=False)
    assert counts(found, 0.1)
    assert found.value == pytest.approx(1 - flipped.mean() / right.mean())
    assert not counts(drop(share_of(flipped[:3]), share_of(right), minimized=False), 0.1)
    assert drop(share_of(right), share_of(flipped), minimized=False).value < 0


def test_a_metric_that_is_no_share_of_rows_is_resampled() -> None:
    random = np.random.default_rng(0)
    errors = random.gamma(2, 1, 400)
    found = drop(mean_of(errors[:150] + 1), mean_of(errors), minimized=True)
    assert counts(found, 0.1)
    assert found.value == pytest.approx((errors[:150].mean() + 1) / errors.mean() - 1)
    assert not counts(drop(mean_of(errors[:200]), mean_of(errors[200:]), minimized=True), 0.0)
    assert drop(mean_of(errors[:5] + 9), mean_of(errors), minimized=True).chance == 1
    assert drop(mean_of(errors + 1), mean_of(errors), minimized=False).chance > 0.5
