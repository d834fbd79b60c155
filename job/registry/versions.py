"""The published versions of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from job.errors import Absent, InputMissing, Torn
from job.registry.champion import VERSION, Champion
from job.store import Object, Store, layout
from job.store.commit import MANIFEST, Manifest, load, verify
from job.store.keys import below
from job.store.records import parsed

PUBLISHED = "published"
"""In a version's manifest: when it was published, in seconds since 1970; for people."""
_PARALLEL = 8


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

    @property
    def run_id(self) -> str:
        """The run that published it."""
        return self.name.rpartition("-a")[0]

    @classmethod
    def of(cls, model: str, run_id: str, attempt: int) -> Version:
        """The version that an attempt publishes; two attempts never write the same one."""
        return cls.named(model, f"{run_id}-a{attempt}")

    @classmethod
    def named(cls, model: str, name: str) -> Version:
        """The version of that name, whether there is one or not."""
        return cls(name, layout.version(model, name))


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


@dataclass(frozen=True)
class Entry:
    """What stands in the store of a version."""

    version: Version
    size: int
    """Of all that lies below its prefix, in bytes."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Its manifest's."""
    scores: Mapping[str, Any] = field(default_factory=dict)
    """Its eval_results.json."""
    damage: str = ""
    """Why it is not whole, as far as names and sizes show; empty where it is."""

    @property
    def is_readable(self) -> bool:
        """Whether its manifest could be read, which says what it is made of."""
        return bool(self.meta)

    def published(self, champion: Champion) -> float | None:
        """When it was published, or else first judged, in seconds since 1970; None where nobody knows."""
        if isinstance(at := self.meta.get(PUBLISHED), (int, float)):
            return float(at)
        moves = (m.at for m in champion.history if m.version == self.version.name and m.at)
        return next(moves, None)


def entries(store: Store, model: str) -> list[Entry]:
    """All versions of a model, by name, finished or not.

    Raises:
        Forbidden, Unreachable: a store that does not let its versions be listed or read.
    """
    prefix = f"{layout.versions(model)}/"
    found: dict[str, list[Object]] = {}
    for item in store.list(prefix):
        name, slash, _ = item.key.removeprefix(prefix).partition("/")
        if slash and re.fullmatch(VERSION, name):
            found.setdefault(name, []).append(item)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(lambda name: _entry(store, model, name, found[name]), sorted(found)))


def _entry(store: Store, model: str, name: str, objects: list[Object]) -> Entry:
    version = Version.named(model, name)
    sizes = {item.key: item.size for item in objects}
    size = sum(sizes.values())
    try:
        manifest = load(store, version.key)
    except Absent:
        return Entry(version, size, damage="it has no manifest: it was never finished")
    except Torn as error:
        return Entry(version, size, damage=error.message)
    scores, damage = {}, ""
    try:
        _compare(version, manifest, sizes)
        if file := manifest.files.get(layout.SCORES):
            key = below(version.key, file.key)
            scores = parsed(store.get(key), f"{store.uri}/{key}")
    except (Torn, Absent) as error:
        damage = error.message
    return Entry(version, size, manifest.meta, scores, damage)


def _compare(version: Version, manifest: Manifest, sizes: Mapping[str, int]) -> None:
    """Whether the files that a manifest names are there and as long as it says.

    Raises:
        Torn: one is not.
    """
    for name, file in manifest.files.items():
        size = sizes.get(below(version.key, file.key))
        if size != file.size:
            has = "is missing" if size is None else f"has {size} bytes instead of {file.size}"
            raise Torn(f"{name} {has}")


def whole(store: Store, model: str, name: str) -> Version:
    """The version of that name, found to be whole.

    Raises:
        InputMissing: there is none, or it was never finished; with the nearest ones that there are.
        Torn: it is damaged.
    """
    version = Version.named(model, name)
    try:
        if re.fullmatch(VERSION, name):
            verify(store, version.key)
            return version
    except Absent:
        pass
    except Torn as error:
        raise Torn(
            f"version {name} is not whole: {error.message}",
            hint="put its files back, or train it again; until then another version must do",
        ) from error
    raise _unknown(store, model, name)


def _unknown(store: Store, model: str, name: str) -> InputMissing:
    listed = [e.version.name for e in entries(store, model) if not e.damage]
    near = get_close_matches(name, listed, n=3, cutoff=0.4)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    return InputMissing(
        f"{store.uri}/{layout.versions(model)}/ holds no finished version {name}",
        hint=f"{guess}`finetune models` lists them all",
    )
