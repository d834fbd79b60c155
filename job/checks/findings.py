"""What was found of the night's rows: each distance beside its bound, in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from job.checks.distances import Distance
from job.data.artifacts import canonical_json
from job.errors import DataError
from job.settings import Checks
from job.telemetry import event, milestone, warn

LEVEL = 0.001
"""A distance counts where one as large has a smaller probability than this by chance."""

ADVICE = {
    "score_drop": "look at the new rows' labels, and at rows where the champion is wrong with certainty",
    "label_shift": "compare the labels of the new files with those before",
    "missing_labels": "see whether an export has lost the rows of these labels",
    "unseen_labels": "correct the labels, or expect a model with other classes",
    "length_shift": "look at the longest and the shortest new texts; a column or a separator may have changed",
    "unknown_tokens": "look at the new texts: another language or encoding, or text that is none",
    "duplicates": "see whether an export has repeated rows; FINETUNE_CLEAN__DEDUPLICATE=true learns from each once",
    "known": "see whether an old file was delivered once more under another name",
}
"""By the name of the setting that bounds it."""


@dataclass(frozen=True)
class Finding:
    """One distance of the night's rows."""

    name: str
    """That of its bound in the settings."""
    value: float
    bound: float
    chance: float
    """How probable a value as large is by chance."""
    rows: int
    """Over how many of the night's rows it was taken."""
    said: str
    """What was found, in words, with both sides of the comparison."""

    @property
    def exceeds(self) -> bool:
        """Whether it is above its bound, and not by chance."""
        return self.value > self.bound and self.chance < LEVEL

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE[self.name]


@dataclass(frozen=True)
class Findings:
    """What checks.json holds: all that was measured of a night."""

    bounds: Mapping[str, Any]
    """The settings that it was measured by."""
    champion: str | None = None
    rows: int = 0
    """Train and validation rows that the champion has not learned from."""
    findings: Sequence[Finding] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """What could not be measured, and why."""

    @property
    def exceeding(self) -> list[Finding]:
        """Those that count."""
        return [finding for finding in self.findings if finding.exceeds]

    def json(self) -> bytes:
        """As the store holds it, with what follows from the numbers for those who read it there."""
        value = asdict(self)
        value["findings"] = [
            {**asdict(each), "exceeds": each.exceeds, "advice": each.advice}
            for each in self.findings
        ]
        return canonical_json(value)

    def tell(self) -> None:
        """Log what was found, and tell the watchers of what exceeds its bound."""
        values = {each.name: float(f"{each.value:.4g}") for each in self.findings}
        event("the night's rows were checked", champion=self.champion, rows=self.rows, **values)
        for name, reason in self.left_out.items():
            event("not checked", check=name, reason=reason)
        for each in self.exceeding:
            warn(f"the night's rows: {each.said}", **_numbers(each), advice=each.advice)
        if self.exceeding:
            names = ", ".join(each.name for each in self.exceeding)
            milestone("DataDoubted", f"the night's rows are unlike those before: {names}")

    def refuse(self) -> None:
        """End the run where anything exceeds its bound.

        Raises:
            DataError: naming all that does.
        """
        if not self.exceeding:
            return
        lines = [
            f"  {each.said} (bound FINETUNE_CHECKS__{each.name.upper()}={each.bound:g}, {each.rows} rows): "
            f"{each.advice}"
            for each in self.exceeding
        ]
        raise DataError(
            "the night's rows were not trained on, since FINETUNE_CHECKS__ACTION=stop:\n"
            + "\n".join(lines),
            hint="correct or remove the rows, raise the bound, or set FINETUNE_CHECKS__ACTION=warn",
        )


def bounds_of(checks: Checks) -> dict[str, Any]:
    """The settings that what is measured depends on."""
    return checks.model_dump(mode="json", exclude={"action"})


def finding(checks: Checks, name: str, distance: Distance, rows: int, said: str) -> Finding:
    """A distance beside the bound of its name."""
    bound = float(getattr(checks, name))
    return Finding(name, float(distance.value), bound, float(distance.chance), rows, said)


def _numbers(each: Finding) -> dict[str, Any]:
    return {
        "check": each.name,
        "value": float(f"{each.value:.4g}"),
        "bound": each.bound,
        "chance": float(f"{each.chance:.1g}"),
        "rows": each.rows,
    }
