"""The verdict: policies, margins, floors, what is paid for and what is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from job.gate.verdict import Part, Trial, Verdict, decide, unasked
from job.registry.champion import Champion
from job.registry.spending import Spending
from job.settings import Publish
from job.tasks.scorers import Scorer, mean_of, share_of

ROWS = 1000


def right(count: int, of: int = ROWS) -> Scorer:
    """The first `count` rows are right."""
    return share_of(np.arange(of) < count)


def verdict(
    challenger: int | Scorer,
    reference: int | Scorer | None,
    metric: str = "accuracy",
    slices: Any = None,
    spending: Spending | None = None,
    **policy: Any,
) -> Verdict:
    sides = [right(side) if isinstance(side, int) else side for side in (challenger, reference)]
    assert sides[0] is not None
    one, two = sides[0], sides[1]
    parts = {
        name: Part(
            len(rows), one.take(rows) if len(rows) else None, two.take(rows) if two else None
        )
        for name, rows in (slices or {}).items()
    }
    trial = Trial(one, two, "a-a1" if two else None, metric, parts, {})
    return decide(trial, Publish.model_validate(policy), spending or Spending())


@pytest.mark.parametrize(
    ("challenger", "gate", "kind"),
    [
        (905, "not-worse", "not worse"),
        (900, "not-worse", "not worse"),
        (896, "not-worse", "too few rows"),
        (880, "not-worse", "worse"),
        (920, "better", "better"),
        (902, "better", "too few rows"),
        (900, "better", "not better"),
        (880, "better", "not better"),
        (100, "always", "always"),
    ],
)
def test_a_policy_and_its_verdict(challenger: int, gate: str, kind: str) -> None:
    found = verdict(challenger, 900, gate=gate)
    assert found.kind == kind
    assert found.promoted == (kind in ("not worse", "better", "always"))
    assert found.decision == ("promoted" if found.promoted else "kept")


def test_the_first_one_is_promoted_and_asks_nothing() -> None:
    found = verdict(10, None)
    assert (found.kind, found.promoted, found.spending.looks) == ("first", True, 0)


@pytest.mark.parametrize("gate", ["not-worse", "better"])
def test_each_look_is_paid_for_whatever_it_finds(gate: str) -> None:
    for challenger in (800, 900, 950):
        found = verdict(challenger, 900, gate=gate, spending=Spending(looks=3, spent=0.0375))
        assert found.spending.looks == 4
        assert found.comparison
        assert found.comparison.alpha == pytest.approx(0.0025)
        assert found.spending.spent == pytest.approx(0.04)
    assert verdict(900, 900, gate="always").spending.looks == 0


def test_no_rows_are_too_few_and_cost_nothing() -> None:
    found = verdict(share_of([]), share_of([]))
    assert (found.kind, found.promoted, found.spending.looks) == ("too few rows", False, 0)


def test_the_margin_is_in_the_metrics_own_units() -> None:
    assert verdict(900, 900).bound == pytest.approx(-0.01)
    percent = share_of(np.arange(ROWS) < 900, 100.0)
    assert verdict(percent, percent, "exact_match").bound == pytest.approx(-1.0)
    assert verdict(900, 900, margin=0.2).bound == -0.2
    assert verdict(900, 900, gate="better", min_gain=0.03).bound == 0.03
    losses = mean_of(np.full(ROWS, 3.0))
    assert verdict(losses, losses, "perplexity").bound == pytest.approx(-0.03)


def test_of_a_loss_less_is_better() -> None:
    rng = np.random.default_rng(1)
    before = rng.uniform(2, 3, ROWS)
    assert verdict(mean_of(before - 0.5), mean_of(before), "loss", gate="better").promoted
    assert verdict(mean_of(before + 0.5), mean_of(before), "loss").kind == "worse"


def test_a_floor_stops_what_is_better_over_all() -> None:
    slices = {"label=spam": np.arange(950, 1000)}
    floors = {"label=spam": 0.5}
    found = verdict(940, 900, slices=slices, floors=floors)
    assert found.kind == "below a floor"
    assert "label=spam" in found.reason
    assert found.spending.looks == 1, "the rows were asked all the same"
    assert verdict(940, None, slices=slices, floors=floors).kind == "below a floor"
    assert verdict(940, 900, slices=slices, floors=floors, gate="always").kind == "below a floor"
    assert verdict(980, 900, slices=slices, floors=floors).promoted


def test_a_floor_that_no_row_can_check_is_no_pass() -> None:
    found = verdict(940, 900, slices={"label=spam": np.zeros(0, int)}, floors={"label=spam": 0.5})
    assert found.kind == "below a floor"
    assert "cannot be checked" in found.reason


def test_of_a_loss_the_floor_is_the_most_that_it_may_be() -> None:
    losses, slices = mean_of(np.full(ROWS, 2.0)), {"length=1": np.arange(100)}
    assert verdict(losses, None, "loss", slices, floors={"length=1": 1.5}).kind == "below a floor"
    assert verdict(losses, None, "loss", slices, floors={"length=1": 2.5}).promoted


def test_a_part_in_which_it_is_shown_to_be_worse() -> None:
    answers = np.arange(ROWS) < 800
    worse_in_part = np.where(np.arange(ROWS) < 200, np.arange(ROWS) % 2 == 0, True)
    slices = {"channel=sms": np.arange(200), "channel=mail": np.arange(200, 210)}
    args: dict[str, Any] = {"slices": slices}
    sides = share_of(worse_in_part), share_of(answers)
    assert verdict(*sides, **args, slice_margin=0.05).kind == "worse in a slice"
    shown = verdict(*sides, **args)
    assert shown.kind != "worse in a slice", "without a margin it is only shown"
    assert shown.facts()["difference@channel=sms"] == pytest.approx(-0.5)
    assert shown.facts()["rows@channel=mail"] == 10
    assert shown.facts()["smallest@channel=mail"] > shown.facts()["smallest@channel=sms"]


def test_too_few_rows_say_how_much_they_could_have_shown() -> None:
    few = verdict(right(18, 20), right(18, 20))
    assert few.kind == "too few rows"
    assert few.comparison
    assert f"no less than {few.comparison.smallest:.4g}" in few.reason


def test_rows_that_did_not_judge_are_counted() -> None:
    trial = Trial(
        right(900), right(900), "a-a1", "accuracy", {}, {"corrected since": 3, "unusable": 1}
    )
    facts = decide(trial, Publish(), Spending()).facts()
    assert facts["left_out"] == "3 corrected since; 1 unusable"


def test_what_was_not_found_is_not_among_the_facts() -> None:
    record = Champion(best="a-a1", spending=Spending(looks=2, spent=0.0333))
    policy = Publish.model_validate({"life_alpha": 0.1})
    found = unasked("not comparable", "it is gone", "accuracy", policy, record)
    facts = found.facts()
    assert not found.promoted
    assert facts["left"] == pytest.approx(0.0667)
    assert "difference" not in facts
    assert facts["reference"] == "a-a1"
