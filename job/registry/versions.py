"""The published versions of a model."""

from __future__ import annotations

from dataclasses import dataclass

from job.store import Store, layout
from job.store.commit import MANIFEST


@dataclass(frozen=True)
class Version:
    """A published model."""

    name: str
    """`{run_id}-a{attempt}`."""
    key: str
    """Its prefix below the store's root."""

    @property
    def attempt(self) -> int:
        """The attempt that published it."""
        return int(self.name.rpartition("-a")[2])

    @classmethod
    def of(cls, model: str, run_id: str, attempt: int) -> Version:
        """The version that an attempt publishes; two attempts never write the same one."""
        name = f"{run_id}-a{attempt}"
        return cls(name, layout.version(model, name))


def run_of(version: str) -> str:
    """The id of the run that published a version of this name."""
    return version.rpartition("-a")[0]


def of_run(store: Store, model: str, run_id: str) -> list[Version]:
    """The versions that attempts at the run have published, that of the last attempt first: more than
    one where an earlier one was found damaged."""
    prefix = layout.version(model, f"{run_id}-a")
    published: dict[int, Version] = {}
    for item in store.list(prefix):
        attempt, _, file = item.key.removeprefix(prefix).partition("/")
        if file == MANIFEST and attempt.isdecimal():
            published[int(attempt)] = Version.of(model, run_id, int(attempt))
    return [published[attempt] for attempt in sorted(published, reverse=True)]
