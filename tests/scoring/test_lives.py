"""The simulation of a gate's life: that it decides as the gate does, and that what it says is right."""

from __future__ import annotations

import numpy as np
import pytest

from job.scoring.compare import compare
from job.tasks.scorers import share_of
from tests.bench import gate


@pytest.mark.parametrize("policy", ["not-worse", "better"])
def test_it_decides_as_the_gate_does(policy: gate.Policy) -> None:
    random = np.random.default_rng(1)
    bound = {"not-worse": -gate.MARGIN, "better": 0.0}[policy]
    alphas, decide = gate.shares(400), gate.spent(policy, 400)
    promoted = 0
    for night in (0, 1, 9, 399):
        for rows in (200, 2_000):
            for _ in range(25):
                won, lost = random.multinomial(rows, [0.06, 0.03, 0.91])[:2]
                challenger = np.arange(rows) >= lost
                reference = np.arange(rows) < rows - won
                found = compare(
                    share_of(challenger), share_of(reference), alphas[night], minimized=False
                )
                decided = bool(decide(night, won, lost, rows))
                assert decided == (found.lower > bound)
                promoted += decided
    assert 0 < promoted < 200


def test_accuracies_and_discordant_rows_are_those_it_says() -> None:
    true = gate.ABILITY[60:99].mean(axis=1)
    assert true == pytest.approx(np.arange(60, 99) / 100, abs=1e-4)
    lives = gate.live(1_000, (0,), gate.threshold, lives=50, nights=3, seed=1)
    assert 0.04 < lives.discordant < 0.08


def test_drawing_by_difficulty_is_drawing_row_by_row() -> None:
    """First nights, each row of each model drawn by itself."""
    random = np.random.default_rng(2)
    nights, rows = 4_000, 500
    difficulty = random.integers(gate.DIFFICULTIES, size=(nights, rows))
    reference = random.random((nights, rows)) < gate.ABILITY[gate.START][difficulty]
    challenger = random.random((nights, rows)) < gate.ABILITY[gate.START + 1][difficulty]
    net = (challenger & ~reference).sum(axis=1) - (reference & ~challenger).sum(axis=1)
    lives = gate.live(rows, (1,), gate.threshold, lives=nights, nights=1, seed=3)
    assert lives.within(1) == pytest.approx(np.mean(net > 0), abs=0.03)
    discordant = (challenger != reference).mean()
    assert lives.discordant == pytest.approx(discordant, abs=0.001)


def test_what_is_spent_holds_for_life_and_what_is_not_does_not() -> None:
    """200 nights of the worst that counts as wrong."""
    worst: tuple[tuple[gate.Policy, int], ...] = (("not-worse", -1), ("better", 0))
    for policy, points in worst:
        shown = []
        for decide in (gate.spent(policy, 200), gate.unspent(policy), gate.threshold):
            lives = gate.live(1_000, (points,), decide, lives=500, nights=200, seed=4)
            shown.append(np.mean(lives.worse if policy == "not-worse" else lives.not_better))
        assert shown[0] <= 0.05
        assert 0.2 < shown[1] < shown[2]
