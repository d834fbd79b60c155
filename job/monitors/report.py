"""A report: what is known of a run's progress at some time, and how the store holds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from job.store.records import parsed, record_of

KEPT_MILESTONES = 20
"""Of many between two reports the last ones are kept."""


@dataclass(frozen=True)
class Milestone:
    """Something that was reached: `number` counts within an attempt."""

    number: int
    reason: str
    """One word, such as Resumed."""
    message: str
    at: float = 0.0
    """When, in seconds since 1970."""


@dataclass(frozen=True)
class Report:
    """The latest figures, and the milestones of an attempt so far."""

    attempt: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    milestones: tuple[Milestone, ...] = ()

    @classmethod
    def read(cls, data: bytes) -> Report:
        """What the store holds; fields that only another release knows are left out.

        Raises:
            Torn: it is not a report.
        """
        return record_of(cls, parsed(data, "progress.json"), "progress.json")

    def json(self) -> bytes:
        """As the store holds it."""
        return json.dumps(asdict(self), indent=1, default=str).encode()


Sink = Callable[[Report], None]
"""Shows a report somewhere; what it raises is logged."""
