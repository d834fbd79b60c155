"""The paired bootstrap, beside plain loops over the same draws."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from job.scoring import bootstrap
from job.scoring.bootstrap import Resampler
from job.scoring.compare import Comparison, compare
from job.tasks.scorers import Scorer, mean_of
from job.tasks.text_classification.scorers import of_classes

NAMES = ("ham", "spam", "eggs")
Metric = Callable[[Sequence[int]], float]
"""Of the rows that were drawn, by number."""


def macro_f1(truth: Sequence[int], guess: Sequence[int]) -> Metric:
    def of(rows: Sequence[int]) -> float:
        scores = []
        for label in sorted({truth[row] for row in rows}):
            hits = sum(truth[row] == guess[row] == label for row in rows)
            given_ = sum(guess[row] == label for row in rows)
            there = sum(truth[row] == label for row in rows)
            scores.append(2 * hits / (given_ + there))
        return statistics.fmean(scores)

    return of


def scorer(truth: Sequence[int], guess: Sequence[int]) -> Scorer:
    probabilities = np.eye(len(NAMES), dtype=np.float32)[list(guess)]
    found = of_classes("f1", [NAMES[label] for label in truth], probabilities, NAMES)
    assert found is not None
    return found


def slow(
    challenger: Metric, reference: Metric, draws: list[list[int]], strata: list[int], alpha: float
) -> tuple[float, float]:
    """The ends by loops over the rows drawn and left out."""
    rows = len(strata)
    differences = [challenger(draw) - reference(draw) for draw in draws]
    error = statistics.pstdev(differences) * math.sqrt(rows / (rows - 1))
    without = []
    for row in range(rows):
        others = [each for each in range(rows) if each != row]
        without.append(challenger(others) - reference(others))
    mean = {
        of: statistics.fmean(w for w, s in zip(without, strata, strict=True) if s == of)
        for of in strata
    }
    influence = [mean[of] - each for of, each in zip(strata, without, strict=True)]
    squares = sum(u**2 for u in influence)
    difference = challenger(range(rows)) - reference(range(rows))
    if squares < 1e-20:
        reach = max(-math.log2(alpha) / rows, error * t.isf(alpha, 1))
        return difference - reach, difference + reach
    kurtosis = rows * sum(u**4 for u in influence) / squares**2
    free = rows - len(mean)
    freedom = min(free, 2 * rows / (kurtosis - 1)) if kurtosis > 1 + 1e-9 else free
    skewness = sum(u**3 for u in influence) / squares**1.5
    quantile = t.isf(alpha, freedom)
    tail = (2 * quantile**2 + 1) / 6
    few = rows / kurtosis < -math.log2(alpha)
    alike = -math.log2(alpha) / rows if few else 0
    return (
        difference - max(alike, error * (quantile + tail * max(0, -skewness))),
        difference + max(alike, error * (quantile + tail * max(0, skewness))),
    )


LABELS = st.integers(0, 2)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(LABELS, LABELS, LABELS), min_size=15, max_size=30),
    st.sampled_from([0.05, 0.01, 1e-5]),
    st.integers(0, 9),
)
def test_the_ends_are_those_of_plain_loops(
    rows: list[tuple[int, int, int]], alpha: float, seed: int
) -> None:
    truth = [0] * 5 + [1] * 5 + [2] * 5 + [row[0] for row in rows[15:]]  # whole strata
    guesses = [[row[model] for row in rows] for model in (1, 2)]
    challenger, reference = (scorer(truth, guess) for guess in guesses)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 60)
        patch.setattr(bootstrap, "CELLS", 700)  # in several parts
        found = compare(challenger, reference, alpha, minimized=False, seed=seed)
        counts = np.concatenate(list(Resampler(len(rows), reference.strata, seed).draws(60)))
    draws = [np.repeat(np.arange(len(rows)), count.astype(int)).tolist() for count in counts]
    metrics = [macro_f1(truth, guess) for guess in guesses]
    assert found.difference == pytest.approx(
        metrics[0](range(len(rows))) - metrics[1](range(len(rows)))
    )
    if len({metrics[0](draw) - metrics[1](draw) for draw in draws}) > 1:
        lower, upper = slow(metrics[0], metrics[1], draws, truth, alpha)
        assert (found.lower, found.upper) == pytest.approx((lower, upper), rel=1e-6)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 5))
def test_rows_are_drawn_within_their_strata(strata: list[int], seed: int) -> None:
    stratum = np.array(strata)
    rows = len(strata)
    counts = np.concatenate(list(Resampler(rows, stratum, seed).draws(7)))
    assert counts.shape == (7, rows)
    assert (counts.sum(axis=1) == rows).all()
    for each in np.unique(stratum):
        size = (stratum == each).sum()
        if size >= bootstrap.LEAST:
            assert (counts[:, stratum == each].sum(axis=1) == size).all()
    again = np.concatenate(list(Resampler(rows, stratum, seed).draws(7)))
    assert (counts == again).all()


def both(losses: np.ndarray, better_by: float) -> Comparison:
    """Perplexities of a kind: minimized means."""
    noise = np.random.default_rng(1).normal(0, 0.1, len(losses))
    challenger = losses - better_by + noise
    return compare(mean_of(challenger), mean_of(losses), 0.025, minimized=True)


def test_a_minimized_metric_that_is_lower_is_better() -> None:
    losses = np.random.default_rng(0).exponential(size=400)
    better, worse = both(losses, 0.05), both(losses, -0.05)
    assert better.challenger < better.reference
    assert 0 < better.lower < better.difference < better.upper
    assert worse.lower < worse.difference < worse.upper < 0
    assert better == both(losses, 0.05)  # drawn alike
    # little differences on every row show more than those of a few rows
    precise = 1 + np.random.default_rng(3).normal(0, 0.01, 400)
    close = compare(mean_of(precise), mean_of(np.ones(400)), 0.001, minimized=True)
    assert close.upper - close.lower < 0.01
    few = np.arange(400) < 3
    bounded = compare(mean_of(few * 0.1), mean_of(np.zeros(400)), 0.001, minimized=False)
    assert bounded.upper - bounded.lower == pytest.approx(2 * math.log2(1000) / 400)
    # the long tail of a skewed difference is on the same side, whichever is called better
    skewed = np.where(np.arange(400) % 40 == 0, 1.0, 0.0)
    up = compare(mean_of(skewed), mean_of(0 * skewed), 0.001, minimized=False)
    down = compare(mean_of(skewed), mean_of(0 * skewed), 0.001, minimized=True)
    assert up.upper - up.difference > up.difference - up.lower
    assert (down.lower, down.upper) == pytest.approx((-up.upper, -up.lower))


def test_a_scale_is_only_a_unit() -> None:
    random = np.random.default_rng(2)
    challenger, reference = random.random(300), random.random(300)
    ones = compare(mean_of(challenger), mean_of(reference), 0.01, minimized=False)
    percents = compare(mean_of(challenger, 100.0), mean_of(reference, 100.0), 0.01, minimized=False)
    for figure in ("reference", "challenger", "difference", "lower", "upper", "smallest"):
        assert getattr(percents, figure) == pytest.approx(100 * getattr(ones, figure))


@pytest.mark.parametrize("rows", [1, 3, 200, 1_500])
def test_models_that_answer_alike_may_differ_on_rows_that_were_not_asked(rows: int) -> None:
    alike = compare(mean_of([0.5] * rows), mean_of([0.5] * rows), 0.025, minimized=False)
    assert alike.difference == 0
    assert alike.lower == -alike.upper == -alike.smallest
    assert alike.upper == pytest.approx(5.32 / rows, rel=1e-3)
    perplexity = compare(mean_of([20.0] * rows), mean_of([20.0] * rows), 0.025, minimized=True)
    assert perplexity.upper == pytest.approx(20 * alike.upper)


@pytest.mark.parametrize(("rows", "shown"), [(1, False), (3, False), (5, False), (6, True)])
def test_rows_that_all_say_the_same_show_as_much_as_throws_of_a_coin(
    rows: int, shown: bool
) -> None:
    """Five of five fall on the same side in three nights out of a hundred, six of six in under two."""
    won = compare(mean_of([1.0] * rows), mean_of([0.0] * rows), 0.025, minimized=False)
    assert won.difference == 1
    assert (won.lower > 0) is shown
    lowered = compare(mean_of([0.0] * rows), mean_of([4.0] * rows), 0.025, minimized=True)
    assert (lowered.lower > 0) is shown


def test_a_difference_of_one_row_shows_little_and_of_none_nothing() -> None:
    rows = np.zeros(1000)
    one = compare(mean_of(rows + (np.arange(1000) == 7)), mean_of(rows), 1e-4, minimized=False)
    assert one.lower < -0.01
    missing = mean_of([np.nan] * 10)
    unknown = compare(missing, mean_of([0.5] * 10), 0.025, minimized=False)
    assert math.isnan(unknown.difference)
    assert (unknown.lower, unknown.upper) == (-math.inf, math.inf)
    random = np.random.default_rng(2)
    spent = compare(mean_of(random.random(9)), mean_of(random.random(9)), 0.0, minimized=False)
    assert (spent.lower, spent.upper) == (-math.inf, math.inf)


def test_the_smallest_difference_is_shown_with_its_power() -> None:
    random = np.random.default_rng(4)
    shown = 0
    for _ in range(200):
        reference = random.normal(size=60)
        noise = random.normal(size=60)
        smallest = compare(
            mean_of(reference + noise), mean_of(reference), 0.01, minimized=False
        ).smallest
        better = mean_of(reference + random.normal(size=60) + smallest)
        shown += compare(better, mean_of(reference), 0.01, minimized=False).lower > 0
    assert shown / 200 == pytest.approx(0.8, abs=0.06)


def test_who_always_says_the_same_shows_no_more_than_rows_that_are_alike() -> None:
    """Drawn within the classes such a model's F1 never varies; it would on other rows."""
    truth = [0] * 40 + [1] * 30 + [2] * 19
    for odd in (0, 1):
        guess = [1] * odd + [0] * (89 - odd)
        found = compare(scorer(truth, guess), scorer(truth, [2] * 89), 0.004, minimized=False)
        assert found.difference > 0.04
        assert found.difference - found.lower >= -math.log2(0.004) / 89
