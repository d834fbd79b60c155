"""A version beside the same trained again: whether the weights are the same, and what else is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from job.checkpoint.catalog import AFTER, changes
from job.commands.reproduce.original import Original
from job.models.differences import SAFETENSORS, differences
from job.settings.metrics import headline
from job.store import layout

SHOWN = 5
"""Tensors that are named to a person, those that differ most."""


@dataclass(frozen=True)
class Report:
    """What came of it; of a pair the first is the published version's, None where it has none."""

    version: str
    files: Mapping[str, tuple[str | None, str | None]]
    """The SHA-256 of each file of weights."""
    tensors: Mapping[str, float]
    """The largest absolute difference in each that is not the same, those that differ most first."""
    circumstances: Mapping[str, tuple[Any, Any]]
    """What the weights depend on and is not the same here."""
    earlier: Mapping[str, tuple[Any, Any]]
    """What had changed between two attempts at the version's own run, which trained on all the same."""
    scores: Mapping[str, tuple[Any, Any]]

    @property
    def same(self) -> bool:
        """Whether the weights are, bit for bit."""
        return not self.tensors

    @property
    def summary(self) -> str:
        """A line that says what differs."""
        if self.same:
            return f"{self.version}: the weights are the same, bit for bit"
        largest = max(self.tensors.values())
        by = (
            f"by at most {largest:.2g}"
            if math.isfinite(largest)
            else "some of another shape or type"
        )
        found = (
            f"{self.version}: trained again, {len(self.tensors)} tensor(s) are not the same, {by}"
        )
        if self.earlier:
            changed = ", ".join(f"{k} from {a} to {b}" for k, (a, b) in self.earlier.items())
            found += f"; its own run was resumed with something else ({changed}), and this one trains with the latter alone"
        if self.circumstances:
            return f"{found}; what is not the same here: {_listed(self.circumstances)}"
        return f"{found}; all else that is recorded is the same here"

    def facts(self) -> dict[str, Any]:
        """All of it, for machines: finite numbers, and `inf` as text."""
        tensors = {k: v if math.isfinite(v) else str(v) for k, v in self.tensors.items()}
        return {"same": self.same, "summary": self.summary, **asdict(self), "tensors": tensors}

    def lines(self) -> list[str]:
        """What a person wants to know."""
        lines = [self.summary, ""]
        for name, (then, now) in self.files.items():
            lines.append(f"{name}  sha256 {then}" + ("" if then == now else f", and {now} here"))
        lines += [f"{name}  differs by {by:.2g}" for name, by in list(self.tensors.items())[:SHOWN]]
        if more := len(self.tensors) - SHOWN:
            lines += [f"… and {more} tensors more"] if more > 0 else []
        lines += [f"{name}  {then}, {now} here" for name, (then, now) in self.circumstances.items()]
        width = max(map(len, self.scores), default=0)
        for name, (then, now) in self.scores.items():
            here = "" if then == now else f", {_number(now)} here"
            lines.append(f"{name:<{width}}  {_number(then)}{here}")
        return lines


def compared(original: Original, again: Original, scratch: Path) -> Report:
    """Compare a version with the same trained again.

    Args:
        scratch: the weights are fetched below it, where the files are not the same.
    """
    files = {
        name: (_sha256(original, name), _sha256(again, name))
        for name in sorted(original.manifest.files.keys() | again.manifest.files.keys())
        if fnmatch(name, SAFETENSORS)
    }
    tensors: dict[str, float] = {}
    if any(then != now for then, now in files.values()):
        folders = [
            each.fetched(scratch / where, files)
            for each, where in ((original, "published"), (again, "again"))
        ]
        tensors = differences(*folders)
    return Report(
        original.version.name,
        files,
        dict(sorted(tensors.items(), key=lambda item: -item[1])),
        _circumstances(original, again),
        _earlier(original),
        _scores(original, again),
    )


def _sha256(version: Original, name: str) -> str | None:
    file = version.manifest.files.get(name)
    return file.sha256 if file else None


def _circumstances(original: Original, again: Original) -> dict[str, tuple[Any, Any]]:
    then, now = original.provenance, again.provenance
    found = {
        name: (getattr(then, name), getattr(now, name))
        for name in ("dataset", "steps", "best_step")
        if getattr(then, name) != getattr(now, name)
    }
    return found | changes(then.computed_with[-1], now.computed_with[-1])


def _earlier(original: Original) -> dict[str, tuple[Any, Any]]:
    """What changed while the version was trained, in the last of several changes."""
    entries = original.provenance.computed_with
    if len(entries) > 1:
        return changes(entries[-2], entries[-1])
    release = entries[0]["finetune-job"]
    return {"finetune-job": ("an earlier one", release)} if entries[0][AFTER] else {}


def _scores(original: Original, again: Original) -> dict[str, tuple[Any, Any]]:
    then, now = (headline(each.document(layout.SCORES)) for each in (original, again))
    return {name: (then.get(name), now.get(name)) for name in dict.fromkeys([*then, *now])}


def _listed(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} {then} then and {now} here" for name, (then, now) in pairs.items())


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
