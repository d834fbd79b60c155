"""What is known of a run's progress at some time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT = 20
"""Milestones that are kept; of many between two reports the last ones count."""


@dataclass(frozen=True)
class Milestone:
    """Something that was reached: `number` counts within an attempt."""

    number: int
    reason: str
    message: str


@dataclass(frozen=True)
class Report:
    """What is known of a run's progress at some time."""

    attempt: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    milestones: tuple[Milestone, ...] = ()

    @classmethod
    def read(cls, data: bytes) -> Report:
        """What the store holds."""
        value = json.loads(data)
        milestones = tuple(Milestone(**item) for item in value["milestones"])
        return cls(value["attempt"], value["figures"], milestones)

    def json(self) -> bytes:
        """What the store is given."""
        return json.dumps(asdict(self), indent=1, default=str).encode()
