"""What there is to train on and with, and what of it has changed since it was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from job.data.artifacts import Frozen, Input, Inputs, canonical_json
from job.errors import Absent
from job.runs import identity
from job.runs.settings_record import differences
from job.settings import Settings, recorded
from job.settings.sources import variable
from job.store import Store, layout
from job.store.records import read_json, read_record

NAMED = 3
"""Of many objects or settings so many are named in words."""
VALUE_CHARS = 60


@dataclass(frozen=True)
class Basis:
    """What a run is trained on and with, as it was found at some time. None: that is not known."""

    settings: Mapping[str, Any]
    """Those that decide what is learned."""
    files: tuple[Input, ...] | None = None
    model: tuple[tuple[str, str], ...] | None = None
    """The key and the identity of each file of a base model in a bucket."""
    image: str = ""

    @classmethod
    def found(cls, settings: Settings, inputs: Inputs, image: str) -> Basis:
        """What there is now.

        Raises:
            StoreError: the base model's bucket cannot be listed.
        """
        model = tuple(identity.model_files(settings))
        return cls(recorded(settings), inputs.files, model, image)


@dataclass(frozen=True)
class Changes:
    """What differs, between a run and now."""

    new: Sequence[str] = ()
    """URIs of data."""
    changed: Sequence[str] = ()
    gone: Sequence[str] = ()
    settings: Mapping[str, tuple[Any, Any]] | None = None
    """By variable, the value then and now."""
    model: Sequence[str] = ()
    """Keys of the base model's files."""
    image: tuple[str, str] | None = None
    """Then and now."""

    @classmethod
    def between(cls, then: Basis, now: Basis) -> Changes:
        """What differs, of what is known of both."""
        before, after = _contents(then.files, now.files)
        both = [key for key in after if key in before]
        had, have = (dict(basis.model or ()) for basis in (then, now))
        known = then.model is not None and now.model is not None
        return cls(
            new=[uri for uri, *part in after if (uri, *part) not in before],
            changed=[uri for uri, *part in both if before[uri, *part] != after[uri, *part]],
            gone=[uri for uri, *part in before if (uri, *part) not in after],
            settings={
                variable(path): (old, new)
                for path, old, new in differences(dict(then.settings), dict(now.settings))
            },
            model=sorted(k for k in {*had, *have} if had.get(k) != have.get(k)) if known else (),
            image=(then.image, now.image) if _differ(then.image, now.image) else None,
        )

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def __str__(self) -> str:
        return "; ".join(self.clauses())

    def clauses(self) -> Iterator[str]:
        """In words, a kind of change each."""
        for said, uris in (
            ("new", self.new),
            ("no longer the same", self.changed),
            ("gone", self.gone),
        ):
            if uris:
                count = "1 object is" if len(uris) == 1 else f"{len(uris):,} objects are"
                yield f"{count} {said} ({_some(uris)})"
        if self.settings:
            yield _some(
                [
                    f"{name} was {_shown(old)} and is {_shown(new)}"
                    for name, (old, new) in self.settings.items()
                ]
            )
        if self.model:
            yield f"the base model has changed ({_some(self.model)})"
        if self.image:
            yield "the image was {} and is {}".format(*self.image)

    def json(self) -> dict[str, Any]:
        """For machines: all of it."""
        then_and_now = ("then", "now")
        settings = self.settings or {}
        return {
            "new": list(self.new),
            "changed": list(self.changed),
            "gone": list(self.gone),
            "settings": {
                name: dict(zip(then_and_now, both, strict=True)) for name, both in settings.items()
            },
            "model": list(self.model),
            "image": dict(zip(then_and_now, self.image, strict=True)) if self.image else None,
        }


def record_launch(store: Store, model: str, run_id: str, basis: Basis) -> None:
    """Keep what a launcher launches a run for."""
    key = f"{layout.run(model, run_id)}/{layout.LAUNCH}"
    store.put(key, canonical_json(asdict(basis)))


def launched_for(store: Store, model: str, run_id: str) -> Basis | None:
    """What a launcher launched a run for; None where none did.

    Raises:
        Torn: its record is damaged.
    """
    try:
        return read_record(store, f"{layout.run(model, run_id)}/{layout.LAUNCH}", Basis)[0]
    except Absent:
        return None


def trained_on(store: Store, model: str, run_id: str) -> Basis | None:
    """What a run has read, and was started with; None where its record is gone.

    Raises:
        Torn: its record is damaged.
    """
    run = layout.run(model, run_id)
    launch = launched_for(store, model, run_id) or Basis({})
    try:
        settings = read_json(store, f"{run}/{layout.SETTINGS}")
        files = read_record(store, f"{run}/{layout.INPUTS}", Frozen)[0].files
    except Absent:
        return None
    return Basis(settings, files, launch.model, launch.image)


def _contents(
    then: Sequence[Input] | None, now: Sequence[Input] | None
) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """What identifies each file's content, by its URI and its part in the data; nothing where one of the two
    is not known."""
    if then is None or now is None:
        return {}, {}
    before, after = (
        {(i.uri, i.split, i.target): (i.size, i.identity) for i in files} for files in (then, now)
    )
    return before, after


def _differ(then: str, now: str) -> bool:
    return bool(then and now and then != now)


def _some(items: Sequence[str]) -> str:
    more = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}…"
