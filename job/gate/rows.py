"""The rows that judge: of the gate's parts in force, those that the night's own cleaning would keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from job import tasks
from job.data.arrow import MappedTable, Writer, schema_of, stream
from job.data.artifacts import FILE, GIVEN, KEY, LINE, SLICE, CleanRows, RawRows
from job.gate.growth import Mask, last_of_each
from job.gate.parts import Part, fetched, keys_now, reading
from job.registry.champion import Champion
from job.registry.lineage import rows_of
from job.runtime.stop import poll
from job.settings import Settings
from job.stages.clean import NOTHING, clean
from job.stages.clean.splits import NO_KEYS, HeldBack
from job.store import Store
from job.tasks.base import Task
from job.telemetry import warn

ROLLED_BACK = "of a version that was rolled back from"
OTHER_READING = "read from other columns"
HELD_OUT = "held out, and test rows are given"
CORRECTED = "corrected since"
LEARNED = "learned from"
UNUSABLE = "unusable"
"""Why a row of the gate does not judge; cleaning has its own reasons to drop a row."""

NO_ROWS: Mask = np.zeros(0, np.bool_)


@dataclass(frozen=True)
class GateRows:
    """The rows that judge."""

    cleaned: CleanRows
    """The split `test` alone, its roles as they were before text cleaning, with KEY and SLICE columns, a
    text once; no table where no row is left."""
    left_out: Mapping[str, int]
    """The other rows of the parts in force, by reason."""

    @property
    def rows(self) -> int:
        """How many judge."""
        return self.cleaned.rows.get("test", 0)


def learned(store: Store, model: str, data_sets: Sequence[str], scratch: Path) -> HeldBack:
    """The rows that models have seen in training or validation: those of these data sets, by fingerprint,
    and what the champions that they went on from had learned. One that is gone, or was made before data
    sets had KEYS, tells nothing."""
    keys = []
    for name in data_sets:
        known = rows_of(store, model, name, scratch / "learned" / name)
        if known is None:
            warn(
                "which of the gate's rows a model has learned from is not known: its data set is gone, or "
                "of an older release",
                dataset=name,
            )
        else:
            keys += [known.trained, known.validated]
    return HeldBack.of(keys, [])


def judging(
    store: Store,
    model: str,
    champion: Champion,
    settings: Settings,
    scratch: Path,
    seen: HeldBack = NOTHING,
) -> GateRows | None:
    """The rows of the champion's gate that judge; None where it has no parts.

    Those of versions that were rolled back from do not, nor those that were read from other columns. A
    later row of the same text replaces the earlier one. Where test rows are given tonight, those that
    were given in some night judge alone, if there are any.

    Args:
        seen: rows that one of the models that are compared has learned from, such as a champion of a
            night before a fraction was raised.

    Raises:
        InputMissing: a part is gone.
    """
    if not champion.gate:
        return None
    kind, left_out, parts = reading(settings), Counter[str](), list[Part]()
    for part in fetched(store, model, champion.gate, scratch):
        withdrawn = part.name in champion.withdrawn
        if withdrawn or part.meta["reading"] != kind:
            left_out[ROLLED_BACK if withdrawn else OTHER_READING] += part.rows
        else:
            parts.append(part)
    folder, given_alone = scratch / "gate" / "judging", bool(settings.data.test)
    settings = _as_stored(settings)
    chosen = _chosen(parts, settings, seen, left_out, given_alone=given_alone)
    task = tasks.create(settings)
    raw = _raw(parts, chosen, task, folder)
    rows = clean(settings, task, raw, folder / "cleaned")
    counts = rows.profile["splits"]["test"]
    left_out.update({**counts["dropped"], UNUSABLE: counts["bad"]})
    return GateRows(_identified(rows, raw.tables["test"][0], folder), +left_out)


def _as_stored(settings: Settings) -> Settings:
    """The settings by which stored rows are cleaned: each role is a column of its name, and no row is
    drawn, moved or dropped because another has the same text."""
    columns = settings.data.columns
    roles = {role: role for role in tasks.create(settings).columns}
    data = {"columns": columns.model_copy(update=roles), "split_by": None, "max_bad_fraction": 1.0}
    files = {"train": (), "validation": (), "test": ()}
    made: dict[str, object] = {"rename": {}, "derive": {}, "unique": ()}
    drawn = {"sample": None, "sort_by": None, "deduplicate": False}
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(update={**data, **files}),
            "clean": settings.clean.model_copy(update={**made, **drawn}),
            "evaluate": settings.evaluate.model_copy(update={"slices": ()}),
        }
    )


def _chosen(
    parts: Sequence[Part],
    settings: Settings,
    seen: HeldBack,
    left_out: Counter[str],
    *,
    given_alone: bool,
) -> Mask:
    """Which of the parts' rows judge, in order; the others are counted in `left_out`."""
    task = tasks.create(settings)
    keys, given, new = [NO_KEYS], [NO_ROWS], [NO_ROWS]
    for part in parts:
        for batch in stream(part.path):
            poll()
            keys.append(keys_now(batch, task, settings.clean))
            given.append(batch.column(GIVEN).to_numpy(zero_copy_only=False))
            before = batch.column(KEY).to_numpy()
            new.append(~(seen.holds(keys[-1], None) | seen.holds(before, None)))
    every, chosen = np.concatenate(keys), np.concatenate(given)
    if not (given_alone and chosen.any()):
        chosen = np.ones(len(every), np.bool_)
    rows, last = np.flatnonzero(chosen), np.zeros(len(every), np.bool_)
    last[rows[last_of_each(every[rows])]] = True
    judges = last & np.concatenate(new)
    reasons = {HELD_OUT: ~chosen, CORRECTED: chosen & ~last, LEARNED: last & ~judges}
    left_out.update({reason: int(which.sum()) for reason, which in reasons.items()})
    return judges


def _raw(parts: Sequence[Part], chosen: Mask, task: Task, folder: Path) -> RawRows:
    """The chosen rows as if they had been fetched: LINE counts them, and KEY and SLICE stand beside."""
    names = {name for part in parts for name in schema_of(part.path).names}
    slices = sorted(name for name in names if name.startswith(SLICE))
    texts = [*task.columns, *slices]
    path, start, line = folder / "raw.arrow", 0, 1
    places = [(FILE, pa.int32()), (LINE, pa.int64())]
    schema = pa.schema([(KEY, pa.uint64()), *((name, pa.string()) for name in texts), *places])
    with Writer(path, schema) as writer:
        for number, part in enumerate(parts):
            for whole in stream(part.path):
                batch = whole.filter(pa.array(chosen[start : start + whole.num_rows]))
                start += whole.num_rows
                if not batch.num_rows:
                    continue
                missing = pa.nulls(batch.num_rows, pa.string())
                own = [batch.column(n) if n in batch.schema.names else missing for n in texts]
                files = pa.array(np.full(batch.num_rows, number, np.int32))
                lines = pa.array(np.arange(line, line + batch.num_rows))
                line += batch.num_rows
                columns = [batch.column(KEY), *own, files, lines]
                writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
    quarantine = folder / "quarantine.jsonl"
    quarantine.touch()
    names_of = tuple(part.name for part in parts)
    weights = (1.0,) * len(parts)
    return RawRows({"test": (path,)}, names_of, weights, quarantine, {"test": line - 1}, {})


def _identified(rows: CleanRows, raw: Path, folder: Path) -> CleanRows:
    """The rows that cleaning has left, as they were before it: each model cleans them as it was trained to."""
    if "test" not in rows.tables:
        return rows
    before = MappedTable(raw).table.drop_columns([FILE, LINE])
    path = folder / "test.arrow"
    with Writer(path) as writer:
        for batch in stream(rows.tables["test"]):
            own = before.take(pa.array(batch.column(LINE).to_numpy() - 1))
            columns = {name: own.column(name).combine_chunks() for name in own.column_names}
            writer.write(pa.RecordBatch.from_pydict(columns))
    return replace(rows, tables={"test": path})
