"""The verdict: whether a challenger takes the champion's place, and why, as a pure function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from job.registry.champion import Champion
from job.registry.spending import Spending
from job.scoring.compare import Comparison, compare
from job.settings import Publish
from job.settings.metrics import MINIMIZED, UNBOUNDED
from job.tasks.scorers import Scorer, whole

Kind = Literal[
    "first",
    "always",
    "not worse",
    "better",
    "worse",
    "not better",
    "too few rows",
    "below a floor",
    "worse in a slice",
    "not comparable",
    "withdrawn",
    "by hand",
]


@dataclass(frozen=True)
class Slice:
    """What was found in a part of the gate's rows."""

    name: str
    rows: int
    score: float | None
    """The challenger's; None where there are no rows."""
    comparison: Comparison | None
    """With the reference, where there is one."""
    floor: float | None


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger becomes the champion, with all that decides it."""

    kind: Kind
    reason: str
    """In words, with the figures."""
    policy: str
    metric: str
    spending: Spending
    """As it is after this verdict."""
    reference: str | None = None
    """The version that the challenger was measured against: the best champion so far."""
    bound: float | None = None
    """What the true difference must exceed: `-margin` or `min_gain`, in the metric's units."""
    comparison: Comparison | None = None
    slices: tuple[Slice, ...] = ()
    left_out: Mapping[str, int] | None = None
    """Rows of the gate that did not judge, by reason."""

    @property
    def promoted(self) -> bool:
        """Whether the challenger takes the champion's place."""
        return self.kind in PROMOTED

    @property
    def decision(self) -> Literal["promoted", "kept"]:
        """`promoted` or `kept`, as it is written everywhere."""
        return "promoted" if self.promoted else "kept"

    def facts(self) -> dict[str, Any]:
        """Flat, for eval_results.json and champion.json: everything but what was not found."""
        found = self.comparison
        facts: dict[str, Any] = {
            "decision": self.decision,
            "kind": self.kind,
            "reason": self.reason,
            "policy": self.policy,
            "metric": self.metric or None,
            "reference": self.reference,
            "bound": self.bound,
            "looks": self.spending.looks,
            "left": self.spending.left,
            "left_out": "; ".join(f"{n} {why}" for why, n in (self.left_out or {}).items()) or None,
        }
        if found is not None:
            facts |= {
                "test": found.test,
                "rows": found.rows,
                "reference_score": found.reference,
                "challenger_score": found.challenger,
                "difference": found.difference,
                "lower": found.lower,
                "upper": found.upper,
                "alpha": found.alpha,
                "smallest": found.smallest,
            }
        for part in self.slices:
            facts |= {f"rows@{part.name}": part.rows, f"score@{part.name}": part.score}
            if part.comparison is not None:
                facts[f"difference@{part.name}"] = part.comparison.difference
                facts[f"smallest@{part.name}"] = part.comparison.smallest
        return {name: value for name, value in facts.items() if _is_known(value)}


def _is_known(value: object) -> bool:
    """Whether there is such a figure: of an end that is not known the rows say nothing."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


@dataclass(frozen=True)
class Part:
    """The answers of both models to a part of the rows."""

    rows: int
    challenger: Scorer | None
    """None where these rows have nothing to score."""
    reference: Scorer | None


@dataclass(frozen=True)
class Trial:
    """What a verdict is made from: the answers of both models to the same rows."""

    challenger: Scorer
    reference: Scorer | None
    """Of the best champion so far; None where there is none."""
    standard: str | None
    """That version's name."""
    metric: str
    parts: Mapping[str, Part]
    """Those that are scored by themselves, or have a floor."""
    left_out: Mapping[str, int]
    """Rows of the gate that did not judge, by reason."""

    @property
    def minimized(self) -> bool:
        """Whether the metric is better the lower it is."""
        return self.metric in MINIMIZED


PROMOTED: tuple[Kind, ...] = ("first", "always", "not worse", "better", "by hand")
"""The kinds of a verdict that make the challenger the champion."""

SLICE_ALPHA = 0.05
"""At which a part's rows must show that the challenger is worse there. A veto promotes nothing, so it
spends nothing of the life's alpha."""

MARGIN = 0.01
"""Of a metric's scale, or of the reference's value where the metric has none, if no margin is given."""


def decide(trial: Trial, policy: Publish, spending: Spending) -> Verdict:
    """The verdict of `policy` on a trial; a look at which of two models is better is paid for.

    Args:
        spending: before this verdict.
    """
    alpha = spending.alpha
    comparison = bound = None
    if trial.reference is not None:
        bound = _bound(trial, whole(trial.reference), policy)
        comparison = compare(
            trial.challenger, trial.reference, alpha, minimized=trial.minimized, bound=bound
        )
    slices = tuple(_slice(name, part, trial, policy) for name, part in trial.parts.items())
    kind, reason = _found(comparison, bound, trial.metric, policy)
    if kind in ASKED and trial.challenger.rows:
        spending = spending.looked()
        reason = f"{reason}; alpha {spending.left:.2g} is left for all later ones"
    if kind in PROMOTED and (veto := _veto(slices, trial, policy)):
        kind, reason = veto
    return Verdict(
        kind,
        reason,
        policy.gate,
        trial.metric,
        spending,
        reference=trial.standard,
        bound=bound,
        comparison=comparison,
        slices=slices,
        left_out=trial.left_out,
    )


ASKED: tuple[Kind, ...] = ("not worse", "better", "worse", "not better", "too few rows")
"""The kinds that come of asking the rows."""


def unasked(kind: Kind, reason: str, metric: str, policy: Publish, record: Champion) -> Verdict:
    """A verdict for which no rows were asked, and nothing is spent."""
    spending = spending_of(record, policy)
    return Verdict(kind, reason, policy.gate, metric, spending, reference=record.best)


def spending_of(record: Champion, policy: Publish) -> Spending:
    """What was spent until now, out of what may be spent in all."""
    return replace(record.spending, life_alpha=policy.life_alpha)


ALWAYS = "FINETUNE_PUBLISH__GATE=always asks nothing"
FIRST = "there was no champion to be measured against"
BY_HAND = "a person has promoted it already"
WITHDRAWN = "a person has gone back from it already"


def _bound(trial: Trial, reference: float, policy: Publish) -> float:
    """What the true difference must exceed, in the metric's units.

    Args:
        reference: the reference's score.
    """
    if policy.gate == "better":
        return policy.min_gain
    if policy.margin is not None:
        return -policy.margin
    unbounded = trial.metric in UNBOUNDED
    return -MARGIN * (abs(reference) if unbounded else trial.challenger.scale)


def _found(
    found: Comparison | None, bound: float | None, metric: str, policy: Publish
) -> tuple[Kind, str]:
    if policy.gate == "always":
        return "always", ALWAYS
    if found is None or bound is None:
        return "first", FIRST
    if not found.rows or math.isnan(found.difference):
        return "too few rows", "the gate holds no row that can judge"
    better = policy.gate == "better"
    said = (
        f"{metric} is {found.challenger:.4f}, the best champion's {found.reference:.4f}, on {found.rows} rows: "
        f"a difference of {found.difference:+.4f}, at least {found.lower:+.4f} (alpha {found.alpha:.2g}), "
        f"where more than {bound:+.4g} is asked"
    )
    if found.lower > bound:
        return ("better" if better else "not worse"), said
    if found.difference > bound:
        return "too few rows", f"{said}; so few rows show no less than {found.smallest:.4g}"
    return ("not better" if better else "worse"), said


def _slice(name: str, part: Part, trial: Trial, policy: Publish) -> Slice:
    floor, one, two = policy.floors.get(name), part.challenger, part.reference
    if one is None or math.isnan(score := whole(one)):
        return Slice(name, part.rows, None, None, floor)
    comparison = None
    if two is not None:
        comparison = compare(one, two, SLICE_ALPHA, minimized=trial.minimized)
    return Slice(name, part.rows, score, comparison, floor)


def _veto(slices: tuple[Slice, ...], trial: Trial, policy: Publish) -> tuple[Kind, str] | None:
    """What a part of the rows has against it."""
    for part in slices:
        if part.floor is not None and part.score is None:
            return (
                "below a floor",
                f"the gate's rows say nothing of {part.name}: its floor cannot be checked",
            )
        if part.floor is not None and part.score is not None:
            short = part.score > part.floor if trial.minimized else part.score < part.floor
            if short:
                said = f"{trial.metric} is {part.score:.4g} on the {part.rows} rows of {part.name}"
                return "below a floor", f"{said}, its floor is {part.floor:.4g}"
        found = part.comparison
        if found and policy.slice_margin is not None and found.upper < -policy.slice_margin:
            return "worse in a slice", (
                f"{found.difference:+.4g} on the {part.rows} rows of {part.name}, at most "
                f"{found.upper:+.4g}; {-policy.slice_margin:+.4g} is allowed"
            )
    return None
