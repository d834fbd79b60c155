"""What a release launched last, kept in the store, and whether there is reason to train again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

from job.errors import Absent, Conflict
from job.runs.record import State
from job.settings import Launch
from job.store import Store, layout
from job.store.records import read_record

UNKNOWN = "the data, the settings or the image have changed"
"""Where what the last run was launched for is not known."""


@dataclass(frozen=True)
class Decision:
    """Whether to train, as which run, and why."""

    run_id: str
    why: str
    skip: bool = False
    at: float = 0.0
    """When, in seconds since 1970; for people, never for a decision."""
    image: str = ""
    """What would be trained with."""

    def __str__(self) -> str:
        return f"{'skipped' if self.skip else 'launched'} {self.run_id}: {self.why}"


@dataclass(frozen=True)
class Launched:
    """The last run that a release launched."""

    run_id: str
    identity: str
    """Of the settings, the data and the image that it was launched for."""
    failure: str = ""
    """Why the object as which it was created has failed, if it has."""
    pending: str = ""
    """The name of an object that some launcher has asked for, and none has seen yet: its request may be
    answered late. Only this name may be asked for until then, since an API server takes it once."""
    decision: Decision | None = None
    """What the last launcher decided, also where it skipped."""
    nonce: str = ""


class Record:
    """A release's record; written by compare-and-swap, so that of two launchers only one goes on."""

    def __init__(self, store: Store, model: str, namespace: str, release: str) -> None:
        """
        Raises:
            Torn: what the store holds is not a record.
        """
        self._store, self._key = store, layout.launch(model, namespace, release)
        self._where = f"{store.uri}/{self._key}"
        self._tag: str | None = None
        self.last: Launched | None = None
        self._read()

    def _read(self) -> None:
        with suppress(Absent):
            self.last, self._tag = read_record(self._store, self._key, Launched)

    def write(self, launched: Launched) -> None:
        """Replace what it holds.

        Raises:
            Conflict: another launcher has written since this one read or wrote.
        """
        launched = replace(launched, nonce=uuid.uuid4().hex)
        data = json.dumps(asdict(launched), indent=1).encode()
        try:
            if self._tag is None:
                self._tag = self._store.put(self._key, data, if_absent=True)
            else:
                self._tag = self._store.put(self._key, data, if_tag=self._tag)
        except Conflict:
            raise Conflict(
                f"{self._where}: another launcher has begun a run in the meantime",
                hint="this one tries again, and follows that run",
            ) from None
        self.last = launched

    def amend(self, run_id: str, **changes: Any) -> None:
        """Change what it says of a run, as long as that is the last one launched."""
        with suppress(Conflict):  # then another launcher goes on with it, and amends it
            self._read()
            if self.last is not None and self.last.run_id == run_id:
                self.write(replace(self.last, **changes))


def decide(
    last: Launched | None,
    state: State | None,
    base: str,
    identity: str,
    settings: Launch,
    existing: Container[str],
    changes: str = "",
) -> Decision:
    """Train, go on, or skip.

    Args:
        state: of the last run.
        base: the id of runs of this identity, without a number.
        identity: of what would be trained now.
        existing: the ids of all runs that begin with `base`.
        changes: what differs from what the last run was launched for, in words.
    """
    new = next(name for name in _numbered(base) if name not in existing)
    if last is None:
        return Decision(new, "nothing was launched before")
    if last.identity != identity:
        return Decision(new, changes or UNKNOWN)
    if state is None or state.outcome is None:
        if last.failure:
            return Decision(new, f"the last run failed ({last.failure[:300]})")
        return Decision(last.run_id, "the last run has not ended")
    if settings.force:
        return Decision(new, "FINETUNE_LAUNCH__FORCE is set")
    if settings.max_age is not None and time.time() - state.ended > settings.max_age:
        return Decision(new, f"the last good run is older than {settings.max_age:g} s")
    return Decision(last.run_id, "nothing has changed since the last good run", skip=True)


def _numbered(base: str) -> Iterator[str]:
    yield base
    for number in count(1):
        yield f"{base}-{number}"
