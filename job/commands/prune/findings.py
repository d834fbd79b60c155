"""What is found: what may go, and what stays because nobody can tell whether it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from job.errors import StoreError
from job.store import Object
from job.store.commit import MANIFEST

VERSION = "version"


@dataclass(frozen=True)
class Removal:
    """Something that nobody needs."""

    kind: str
    name: str
    """Of the version, the run, the data set, the part of the gate; or a key."""
    why: str
    objects: Sequence[Object]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(item.size for item in self.objects)

    @property
    def keys(self) -> tuple[list[str], list[str]]:
        """Those of manifests, which go first, and of all other files."""
        manifests = [o.key for o in self.objects if o.key.endswith(f"/{MANIFEST}")]
        return manifests, [o.key for o in self.objects if o.key not in set(manifests)]


@dataclass(frozen=True)
class Doubt:
    """Something that stays because it, or who may need it, cannot be understood."""

    kind: str
    name: str
    why: str
    error: StoreError | None = None
    """Where something is damaged."""


@dataclass
class Findings:
    """What goes and what is doubted."""

    removals: list[Removal] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)

    def go(self, kind: str, name: str, why: str, objects: Sequence[Object]) -> None:
        """Nobody needs it."""
        self.removals.append(Removal(kind, name, why, objects))

    def stay(self, kind: str, name: str, why: str, error: StoreError | None = None) -> None:
        """It stays, and is named."""
        self.doubts.append(Doubt(kind, name, why, error))

    def damaged(self, kind: str, name: str, error: StoreError) -> None:
        """It stays, since what cannot be read says nothing about who needs it."""
        if not any(doubt.error is not None and doubt.name == name for doubt in self.doubts):
            self.stay(kind, name, f"it cannot be understood: {error.message}", error)

    def versions(self) -> set[str]:
        """The names of those that go."""
        return {removal.name for removal in self.removals if removal.kind == VERSION}
