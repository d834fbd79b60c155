"""What stands in the store of a model, and who may still need what of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from job.errors import Absent, Torn
from job.registry import champion as registry
from job.registry.champion import Champion
from job.registry.versions import Entry, entries
from job.runs.record import State
from job.store import Object, Store, layout
from job.store.commit import MANIFEST
from job.store.records import parsed, record_of, twice

_PARALLEL = 8
_RECORDS = (layout.STATE, layout.SETTINGS, layout.INPUTS)


@dataclass(frozen=True)
class Work:
    """A run, or predictions, of this model or of another one in the same store."""

    name: str
    """For people: `run r1`."""
    run_id: str | None = None
    """Of a run of this model."""
    state: State | None = None
    """None where it has none yet, or none that can be read."""
    named: frozenset[str] = frozenset()
    """Versions of this model, and parts of its gate, that its records name, among other words."""
    complete: bool = False
    damage: Torn | None = None
    """Why a record of it cannot be understood, so that nobody knows what it needs."""

    @property
    def goes_on(self) -> bool:
        """Whether it may go on, as far as anybody knows."""
        return not self.complete

    @property
    def dataset(self) -> str | None:
        """The data set that it reads, empty where it has not asked for one yet; None where that is not
        known."""
        if self.damage is not None:
            return None
        if self.state is None:
            return ""
        return self.state.dataset or ("" if self.state.stage == "start" else None)


@dataclass(frozen=True)
class Survey:
    """One look at the store."""

    store: Store
    model: str
    champion: Champion
    versions: Mapping[str, Entry]
    artifacts: Mapping[str, Sequence[Object]]
    """The objects below each artifact's prefix, committed or not."""
    works: Sequence[Work] = field(default_factory=tuple)

    def open_works(self) -> list[Work]:
        """What may go on."""
        return [work for work in self.works if work.goes_on]

    def open_runs(self) -> list[Work]:
        """Runs of this model that may go on."""
        return [work for work in self.open_works() if work.run_id is not None]

    def run(self, run_id: str) -> Work | None:
        """A run of this model; None where nothing of it is left."""
        return next((work for work in self.works if work.run_id == run_id), None)

    def below(self, prefix: str) -> list[str]:
        """The artifacts directly below a prefix."""
        return [a for a in self.artifacts if a.rpartition("/")[0] == prefix]

    def is_committed(self, artifact: str) -> bool:
        """Whether it has a manifest."""
        return any(item.key == f"{artifact}/{MANIFEST}" for item in self.artifacts[artifact])


def look(store: Store, model: str, champion: Champion) -> Survey:
    """What stands in the store.

    Every run below the output is asked what it needs, whatever its model: one may go on from another's
    version.

    Raises:
        Forbidden, Unreachable: the store does not let it be listed or read.
    """
    artifacts: dict[str, list[Object]] = {}
    begun: dict[tuple[str, str, str], set[str]] = {}
    for item in store.list():
        if artifact := layout.artifact_of(model, item.key):
            artifacts.setdefault(artifact, []).append(item)
        if record := layout.begun_by(item.key):
            begun.setdefault(record[:3], set()).add(record[3])
    with ThreadPoolExecutor(_PARALLEL) as pool:
        works = pool.map(lambda item: _work(store, model, *item), begun.items())
        found = list(works)
    listed = {entry.version.name: entry for entry in entries(store, model)}
    return Survey(store, model, champion, listed, artifacts, found)


def surveyed(store: Store, model: str) -> Survey:
    """The champion, and what stands in the store.

    Raises:
        Torn: champion.json is damaged.
        Forbidden, Unreachable: as `look`.
    """
    return look(store, model, registry.read(store, model)[0])


def _work(store: Store, model: str, place: tuple[str, str, str], files: set[str]) -> Work:
    """A run or predictions, by the records that it has."""
    of, kind, name = place
    prefix = layout.run(of, name) if kind == "runs" else layout.predictions(of, name)
    said = f"{'run' if kind == 'runs' else kind} {name if of == model else f'{of}/{name}'}"
    run_id = name if kind == "runs" and of == model else None
    state, named = None, set[str]()
    try:
        for file in sorted(files & set(_RECORDS)):
            text = _record(store, f"{prefix}/{file}")
            named |= _named_in(text, model, own=of == model)
            if file == layout.STATE and kind == "runs":
                where = f"{store.uri}/{prefix}/{file}"
                state = record_of(State, parsed(text, where), where)
    except Torn as error:
        return Work(said, run_id, damage=error)
    ended = state is not None and state.outcome is not None
    complete = ended if kind == "runs" else MANIFEST in files
    return Work(said, run_id, state, frozenset(named), complete)


def _record(store: Store, key: str) -> bytes:
    """A record's text, found to be JSON; empty where it is gone since it was listed."""

    def read() -> bytes:
        data = store.get(key)
        parsed(data, f"{store.uri}/{key}")
        return data

    try:
        return twice(read)
    except Absent:
        return b"{}"


def _named_in(text: bytes, model: str, *, own: bool) -> set[str]:
    """What a record names that may be a version, in whatever field: rather too much than too little.

    Args:
        own: whether it is this model's, which may name its versions without their place.
    """
    name = rb"([A-Za-z0-9][A-Za-z0-9._-]*)"
    found = re.findall(re.escape(f"{layout.versions(model)}/".encode()) + name, text)
    if own:
        found += re.findall(b'"' + name + b'"', text)
    return {match.decode() for match in found}
