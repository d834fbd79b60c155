"""The parts of the gate: the rows that no version is trained on, and by which versions are judged.

A part is the artifact gate/{part}: the test rows that a night's data set has brought, as they were
before their text was cleaned, so that a later night can clean them as it cleans its own. It is in force
once champion.json lists it, that is once that night's challenger was promoted. From then on its rows
are held back, whatever becomes of fractions and files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from job import tasks
from job.data.arrow import stream
from job.data.artifacts import GROUP, KEY, fingerprint
from job.data.keys import Keys
from job.errors import Absent, InputMissing, Torn
from job.runtime.stop import poll
from job.settings import Clean, Settings
from job.stages.clean.splits import HeldBack, keys_of
from job.stages.clean.text import cleaned
from job.store import Store, layout
from job.store.commit import fetch
from job.store.manifest import load
from job.tasks.row_rules import RowRules

ROWS = "rows.arrow"
"""The one file of a part; its columns are those of `CleanRows.gate`."""
_PARALLEL = 8
"""Parts that are read from the store at once: a gate may have one for every night of a year."""


@dataclass(frozen=True)
class Part:
    """A part of the gate on this disk."""

    name: str
    path: Path
    meta: Mapping[str, Any]
    """`dataset` that the rows came from, and whether it is `held_out` of that data set's other splits;
    how many `rows`; their `reading`, and the column `split_by` that their groups are of."""

    @property
    def rows(self) -> int:
        """How many it has."""
        return int(self.meta["rows"])


def reading(settings: Settings) -> str:
    """What the roles are: rows that were read in another way are rows of another kind.

    A template may use any column, so where one makes a role, every one counts; else only what makes roles.
    """
    columns, clean = tasks.create(settings).columns, settings.clean
    roles = set(columns.values())
    if roles & clean.derive.keys():
        return fingerprint([settings.task, columns, clean.rename, clean.derive])
    renamed = {old: new for old, new in clean.rename.items() if new in roles}
    return fingerprint([settings.task, columns, renamed, {}])


def data_sets(store: Store, model: str, parts: Sequence[str]) -> dict[str, str]:
    """For each part of the gate the data set that holds its rows out already; empty where none does.

    Raises:
        InputMissing: a part is gone.
    """

    def data_set(name: str) -> str:
        with _explained(store, model, name):
            meta = load(store, layout.gate(model, name)).meta
        return str(meta["dataset"]) if meta["held_out"] else ""

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return dict(zip(parts, pool.map(data_set, parts), strict=True))


def fetched(store: Store, model: str, parts: Sequence[str], scratch: Path) -> Iterator[Part]:
    """The parts, one after the other.

    Raises:
        InputMissing: a part is gone.
    """

    def part(name: str) -> Part:
        folder = scratch / "gate" / name
        with _explained(store, model, name):
            manifest = fetch(store, layout.gate(model, name), folder, [ROWS])
        return Part(name, folder / ROWS, manifest.meta)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        yield from pool.map(part, parts)


def held_back(
    store: Store,
    model: str,
    parts: Sequence[str],
    settings: Settings,
    rules: RowRules,
    scratch: Path,
) -> HeldBack:
    """What must be in neither train nor validation: the keys that the parts' rows had, and those that
    they have as the settings clean their text now.

    Raises:
        InputMissing: a part is gone.
    """
    keys: list[Keys] = []
    groups: list[Keys] = []
    by = settings.data.split_by
    for part in fetched(store, model, parts, scratch):
        for batch in stream(part.path):
            poll()
            keys += [batch.column(KEY).to_numpy(), keys_now(batch, rules, settings.clean)]
            if by and part.meta["split_by"] == by:
                groups.append(batch.column(GROUP).drop_null().to_numpy())
    return HeldBack.of(keys, groups)


def keys_now(batch: pa.RecordBatch, rules: RowRules, clean: Clean) -> Keys:
    """The keys of a part's rows as their text is cleaned now; those that they had, where they lack one
    of the roles that now make a key."""
    if not set(rules.text_roles) <= set(batch.schema.names):
        return np.asarray(batch.column(KEY).to_numpy())
    texts = {role: batch.column(role).to_pylist() for role in rules.text_roles}
    changed = {role: cleaned(texts[role], clean) for role in texts.keys() - rules.verbatim_roles}
    return keys_of([{**texts, **changed}[role] for role in rules.text_roles])


@contextmanager
def _explained(store: Store, model: str, name: str) -> Iterator[None]:
    """What to do about a part that is not there: without it its rows would be trained on."""
    try:
        yield
    except (Absent, Torn) as error:
        key = layout.gate(model, name)
        raise InputMissing(
            f"{store.uri}/{key}: these rows of the gate are gone or damaged ({error.message})",
            hint="put them back: without them it is not known which rows must not be trained on",
        ) from error
