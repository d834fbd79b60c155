"""The champion: the version of a model that is in use, how it came to be, and what was spent on it.

champion.json is only ever replaced by compare-and-swap. Of two that move it at the same moment one
writes; the other reads what stands there then and decides anew (`move`).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from job.errors import Absent, Conflict, Torn
from job.registry.spending import Spending
from job.store import Store, layout
from job.store.records import read_record

REMEMBERED = 20
"""How many earlier writes the record names."""
TRIES = 30
"""How often a move is decided anew because somebody else moved the champion first."""

VERSION = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What the names of versions are made of: they are parts of keys."""
Name = Annotated[str, Field(pattern=VERSION)]
Time = Annotated[float, Field(ge=0, lt=1e11)]
"""In seconds since 1970; for people, never for a decision."""


@dataclass(frozen=True)
class Move:
    """An entry of the history."""

    version: Name
    """The challenger that was judged, or the version that a person moved to."""
    action: Literal["promoted", "kept", "promoted by hand", "rolled back"]
    champion: Name | None = None
    """The version in use after it; None where there was none yet."""
    reason: str = ""
    at: Time = 0.0
    verdict: Mapping[str, Any] = field(default_factory=dict)
    """What the gate found, flat; empty for a person's move."""

    def __str__(self) -> str:
        kind = self.verdict.get("kind")
        action = f"{self.action} ({kind})" if kind else self.action
        return f"{action}: {self.reason}" if self.reason else action


@dataclass(frozen=True)
class Champion:
    """What champion.json holds; as it is made here, that of a model of which nothing was promoted yet."""

    version: Name | None = None
    """The version in use; None where nothing was promoted yet, as after a first one below a floor."""
    previous: Name | None = None
    """What `rollback` goes back to."""
    best: Name | None = None
    """The standard that challengers are measured against: the best champion so far. A person's move
    sets it anew."""
    gate: Sequence[Name] = field(default_factory=list)
    """The parts under gate/ that are in force, oldest first; only ever appended to."""
    withdrawn: Sequence[Name] = field(default_factory=list)
    """Versions that were rolled back from: their parts no longer judge, and are still never trained on."""
    removed: Sequence[Name] = field(default_factory=list)
    """Versions that were removed, or are about to be: never to be put to use again. Since this stands in
    the record that a promotion replaces, one comes before the other."""
    spending: Spending = field(default_factory=Spending)
    history: Sequence[Move] = field(default_factory=list)
    """Oldest first; only ever appended to."""
    nonce: str = ""
    """Of the write; a writer that was overtaken before the store told it finds its own in `earlier`."""
    earlier: Sequence[str] = field(default_factory=list)
    """Those of the last writes before it."""

    @property
    def judging(self) -> list[str]:
        """The parts of the gate whose rows judge."""
        return [part for part in self.gate if part not in self.withdrawn]


def read(store: Store, model: str) -> tuple[Champion, str | None]:
    """The model's champion, and the tag to replace it by; None where there is no record of one yet.

    Raises:
        Torn: the record is damaged, and the message names the field; or it is gone, and the gate is not.
        Forbidden: it may not be read; that never means that there is none.
    """
    try:
        try:
            return _stored(store, model)
        except Absent:
            if not any(store.list(f"{layout.gates(model)}/")):
                return Champion(), None
            return _stored(store, model)  # somebody may just have begun
    except Absent:
        raise _lost(store, model) from None
    except Torn as error:
        raise Torn(
            error.message,
            hint="nothing is promoted, judged or removed until it is whole: put an earlier version of this "
            "object back; without it the gate's rows and what was spent on them would be forgotten",
        ) from error


def _stored(store: Store, model: str) -> tuple[Champion, str]:
    return read_record(store, layout.champion(model), Champion)


def _lost(store: Store, model: str) -> Torn:
    """The record is gone: nothing ever lies below gate/ without one (`opened`)."""
    gate = f"{store.uri}/{layout.gates(model)}/"
    return Torn(
        f"{store.uri}/{layout.champion(model)} is gone, and {gate} holds rows that it listed",
        hint="put an earlier version of this object back; without it models would be trained on the rows "
        f"that judge, and the next one would be promoted unjudged. To begin anew all the same, remove {gate}",
    )


def opened(store: Store, model: str) -> tuple[Champion, str | None]:
    """As `read`, after an empty record was written where there was none: before anything lies below gate/."""
    record, tag = read(store, model)
    if tag is None:
        with suppress(Conflict):  # somebody else has
            write(store, model, record, None)
        return read(store, model)
    return record, tag


def write(store: Store, model: str, champion: Champion, tag: str | None) -> Champion:
    """Replace the record that was read with `tag`, and return it as it was written.

    Raises:
        Conflict: somebody else has replaced it since, so that this was not written.
    """
    earlier = [*champion.earlier, *filter(None, [champion.nonce])][-REMEMBERED:]
    champion = replace(champion, nonce=uuid.uuid4().hex, earlier=earlier)
    data = json.dumps(asdict(champion), indent=1, allow_nan=False).encode()
    key = layout.champion(model)
    try:
        if tag is None:
            store.put(key, data, if_absent=True)
        else:
            store.put(key, data, if_tag=tag)
    except Conflict as error:
        # a write of which the store's answer was lost may have been replaced before it was asked again
        stored, _ = read(store, model)
        if champion.nonce not in (stored.nonce, *stored.earlier):
            raise Conflict(
                f"{store.uri}/{key}: somebody else has moved the champion in the meantime",
                hint="read it again, and decide anew",
            ) from error
    return champion


def move(store: Store, model: str, decide: Callable[[Champion], Champion]) -> Champion:
    """Move the champion as `decide` says of the record that stands there, which it is asked again where
    somebody else comes first. What it returns unchanged is not written.

    Raises:
        Conflict: somebody else came first each time.
        Torn: the record is damaged.
    """

    for _ in range(TRIES - 1):
        with suppress(Conflict):  # others have moved on, so there is nothing to wait for
            return _moved(store, model, decide)
    return _moved(store, model, decide)


def _moved(store: Store, model: str, decide: Callable[[Champion], Champion]) -> Champion:
    before, tag = read(store, model)
    after = decide(before)
    return before if after == before else write(store, model, after, tag)


# -- the next record -------------------------------------------------------------------------------


def judged(
    champion: Champion, move: Move, best: str | None, part: str | None, spending: Spending
) -> Champion:
    """The record after a challenger was judged.

    Args:
        move: `promoted` or `kept`; which version is in use after it is filled in here.
        best: the standard from now on.
        part: the rows that the night brought, where they are to judge from now on.
        spending: what is spent now.
    """
    version = move.version if move.action == "promoted" else champion.version
    return replace(
        _in_use(champion, version),
        best=best,
        gate=_with_part(champion, part),
        spending=spending,
        history=[*champion.history, replace(move, champion=version)],
    )


def by_hand(champion: Champion, version: str, reason: str, part: str | None = None) -> Champion:
    """The record after a person promoted a version; unchanged where it is the champion and the standard.

    A version that was rolled back from is trusted again.

    Args:
        part: the rows that its night brought, where they are to judge from now on.
    """
    gate = _with_part(champion, part)
    if (champion.version, champion.best, champion.gate) == (version, version, gate):
        return champion
    made = Move(version, "promoted by hand", version, reason, time.time())
    return replace(
        _in_use(champion, version),
        best=version,
        gate=gate,
        withdrawn=[name for name in champion.withdrawn if name != version],
        history=[*champion.history, made],
    )


def rolled_back(champion: Champion, to: str, reason: str = "") -> Champion:
    """The record after a person went back to a version: those that came into use after it, and are newer,
    are withdrawn.

    Args:
        to: a version that was in use and is not now.
    """
    used = used_in_turn(champion)
    since = used[len(used) - used[::-1].index(to) :]
    newer = [name for name in dict.fromkeys(since[::-1]) if used.index(name) > used.index(to)]
    withdrawn = [name for name in champion.withdrawn if name != to]
    withdrawn += [name for name in newer if name not in withdrawn]
    made = Move(to, "rolled back", to, reason, time.time())
    return replace(
        champion,
        version=to,
        previous=_before(champion, to, {*withdrawn, *champion.removed}),
        best=to,
        withdrawn=withdrawn,
        history=[*champion.history, made],
    )


def removing(champion: Champion, names: Collection[str]) -> Champion:
    """The record before versions are removed, or with none after they are gone."""
    return replace(champion, removed=sorted(names))


@dataclass(frozen=True)
class Change:
    """A move that brought another version into use."""

    number: int
    """Its place in the history, from 0."""
    move: Move
    version: str
    """In use since."""
    previous: str | None
    """In use until then."""


def changes(champion: Champion) -> list[Change]:
    """The moves that brought another version into use, oldest first."""
    made: list[Change] = []
    previous: str | None = None
    for number, move in enumerate(champion.history):
        if move.champion and move.champion != previous:
            made.append(Change(number, move, move.champion, previous))
            previous = move.champion
    return made


def used_in_turn(champion: Champion) -> list[str]:
    """The version in use after each move, the latest last."""
    return [move.champion for move in champion.history if move.champion]


def _before(champion: Champion, version: str, gone: Container[str]) -> str | None:
    """What was in use before a version came into use first, but for what is gone."""
    used = used_in_turn(champion)
    left = [name for name in used[: used.index(version)] if name not in gone]
    return left[-1] if left else None


def _with_part(champion: Champion, part: str | None) -> Sequence[str]:
    return [*champion.gate, part] if part and part not in champion.gate else champion.gate


def _in_use(champion: Champion, version: str | None) -> Champion:
    """With a version in use; the one before is what `rollback` goes back to."""
    if version == champion.version:
        return champion
    return replace(champion, version=version, previous=champion.version)
