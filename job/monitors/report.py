"""A report: what is known of a run's progress at some time, and how the store holds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

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
            ValueError, KeyError, TypeError, AttributeError: it is not a report.
        """
        value = json.loads(data)
        known = {item.name for item in fields(Milestone)}
        milestones = tuple(
            Milestone(**{name: part for name, part in item.items() if name in known})
            for item in value["milestones"]
        )
        return cls(value["attempt"], value["figures"], milestones)

    def json(self) -> bytes:
        """As the store holds it."""
        return json.dumps(asdict(self), indent=1, default=str).encode()


Sink = Callable[[Report], None]
"""Shows a report somewhere; what it raises is logged."""
