"""How the gate grows: by the rows that a night has brought, once its challenger is promoted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job import tasks
from job.data.arrow import Writer, schema_of, stream
from job.data.artifacts import GATE, GROUP, KEY, KEYS, Dataset
from job.data.keys import Keys
from job.errors import Absent, Forbidden, Torn
from job.gate.parts import ROWS, Part, fetched, reading
from job.registry import champion
from job.settings import Settings
from job.stages.clean.splits import HeldBack
from job.store import Store, layout
from job.store.commit import commit, fetch, own_number
from job.telemetry import warn

Mask = npt.NDArray[np.bool_]

FEW, MOST = 10, 0.05
"""Rows, and the share of those that a night has in common with the gate, whose targets may be corrected at
once."""


def candidate(dataset: Dataset) -> Path:
    """A data set's test rows in the form of a part."""
    return dataset.folder / GATE


def commit_part(
    store: Store,
    settings: Settings,
    version: str,
    dataset: Dataset,
    judging: Sequence[str],
    scratch: Path,
    *,
    by_hand: bool = False,
) -> str | None:
    """Commit the test rows that the gate lacks, or has otherwise (`_compared`), as the part of a version.

    The part is not in force before champion.json lists it. What an earlier attempt at this has committed
    stands. Of many rows with other targets than the gate's none is taken: a night that spoils the answers
    of its test rows alone must not choose how the next one is judged.

    Args:
        judging: the parts of the gate that judge, oldest first.
        by_hand: whether a person vouches for the night.

    Returns:
        The part's name, which is the version's; None where the gate has all rows.

    Raises:
        InputMissing: a part is gone.
    """
    night = candidate(dataset)
    parts = list(fetched(store, settings.name, judging, scratch))
    new = _otherwise(night, settings, parts, _compared(night, settings))
    if not by_hand:
        new &= ~_doubtful(night, settings, parts)
    if not new.any():
        return None
    path = scratch / "gate" / version / ROWS
    _take(night, new, path)
    meta = {
        "dataset": dataset.fingerprint,
        "held_out": _is_held_out(path, dataset),
        "rows": int(new.sum()),
        "reading": reading(settings),
        "split_by": settings.data.split_by,
    }
    champion.opened(store, settings.name)
    key = layout.gate(settings.name, version)
    commit(store, key, {ROWS: path}, attempt=own_number(), meta=meta, exists_ok=True)
    return version


def part_of_version(
    store: Store, model: str, version: str, judging: Sequence[str], scratch: Path
) -> str | None:
    """Commit the part of a version that a person promotes, as its own night would have done.

    Returns:
        None where the gate has all of its rows, where nobody can say any more which they are, or where
        the person may not read or write them; the log says why.
    """
    folder = scratch / "version"
    try:
        manifest = fetch(store, layout.version(model, version), folder, [layout.SETTINGS])
        fingerprint = str(manifest.meta["dataset"])
        prefix = layout.dataset(model, fingerprint)
        fetch(store, prefix, folder, [GATE, KEYS])
        recorded = json.loads((folder / layout.SETTINGS).read_text())
        settings = Settings.model_validate({**recorded, "name": model})
    except (Absent, Torn, Forbidden, KeyError, ValueError) as error:
        unknown = "which rows its night has brought is not known"
        warn(f"the rows that judge stay as they are: {unknown}", version=version, reason=str(error))
        return None
    dataset = Dataset(fingerprint, folder)
    try:
        return commit_part(store, settings, version, dataset, judging, scratch, by_hand=True)
    except Forbidden as error:  # a person may have leave to move the champion, and no more
        warn("the rows that judge stay as they are", version=version, reason=str(error))
        return None


def last_of_each(keys: Keys) -> Mask:
    """Of rows with the same key, the last."""
    _, from_behind = np.unique(keys[::-1], return_index=True)
    last = np.zeros(len(keys), np.bool_)
    last[len(keys) - 1 - from_behind] = True
    return last


def _otherwise(
    night: Path, settings: Settings, parts: Sequence[Part], columns: Sequence[str]
) -> Mask:
    """Which of the night's rows the parts lack, or have with other values of some columns."""
    kind = reading(settings)
    before = [_marks(part.path, columns) for part in parts if part.meta["reading"] == kind]
    return _new(before, _marks(night, columns))


def _doubtful(night: Path, settings: Settings, parts: Sequence[Part]) -> Mask:
    """The night's rows whose targets are not the gate's, where these are too many to be corrections."""
    task = tasks.create(settings)
    targets = sorted({*task.columns} - {*task.text_roles})
    lacking = _otherwise(night, settings, parts, [])
    changed = _otherwise(night, settings, parts, targets) & ~lacking
    known = len(lacking) - int(lacking.sum())
    if changed.sum() <= max(FEW, MOST * known):
        return np.zeros(len(changed), np.bool_)
    warn(
        "so many of the gate's rows have other targets tonight that they stay as they were; "
        "`finetune promote` takes the night's, if these are right",
        rows=int(changed.sum()),
        of=known,
    )
    return changed


def _compared(night: Path, settings: Settings) -> list[str]:
    """In what rows of one key may differ: targets, slices, the text before it was cleaned, by which it is
    held back when it is cleaned otherwise; and the group where the night has groups."""
    left_out = {KEY} if settings.data.split_by else {KEY, GROUP}
    return [name for name in schema_of(night).names if name not in left_out]


def _marks(path: Path, columns: Sequence[str]) -> tuple[Keys, Keys]:
    """The rows' keys, and a hash of their values of these columns; a column that is not there is null."""
    keys, marks = [], []
    for batch in stream(path):
        nothing = pa.nulls(batch.num_rows)
        names = set(batch.schema.names)
        values = [(batch.column(n) if n in names else nothing).to_pylist() for n in columns]
        keys.append(batch.column(KEY).to_numpy())
        rows = zip(*values, strict=True) if values else repeat((), batch.num_rows)
        marks.append(np.fromiter(map(_mark, rows), np.uint64, count=batch.num_rows))
    nothing_at_all = [np.zeros(0, np.uint64)]
    return np.concatenate(keys or nothing_at_all), np.concatenate(marks or nothing_at_all)


def _mark(values: tuple[object, ...]) -> int:
    return int.from_bytes(blake2b(repr(values).encode(), digest_size=8).digest(), "big")


def _new(before: Sequence[tuple[Keys, Keys]], night: tuple[Keys, Keys]) -> Mask:
    """Which of the night's rows the gate lacks, or has last with another mark; of equal keys the last."""
    keys, marks = night
    new = last_of_each(keys)
    if not any(len(part[0]) for part in before):
        return new
    known, their_marks = (np.concatenate(arrays) for arrays in zip(*before, strict=True))
    last = last_of_each(known)
    order = np.argsort(known[last])
    known, their_marks = known[last][order], their_marks[last][order]
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    same = (known[places] == keys) & (their_marks[places] == marks)
    return np.asarray(new & ~same)


def _take(source: Path, rows: Mask, target: Path) -> None:
    start = 0
    with Writer(target, schema_of(source)) as writer:
        for batch in stream(source):
            writer.write(batch.filter(pa.array(rows[start : start + batch.num_rows])))
            start += batch.num_rows


def _is_held_out(part: Path, dataset: Dataset) -> bool:
    """Whether no row of the data set's other splits is one of the part's, or of one of its groups."""
    keys, groups = [], []
    for batch in stream(part):
        keys.append(batch.column(KEY).to_numpy())
        groups.append(batch.column(GROUP).drop_null().to_numpy())
    held = HeldBack.of(keys, groups)
    return not any(
        held.holds(batch.column(KEY).to_numpy(), batch.column(GROUP).fill_null(0).to_numpy()).any()
        for batch in stream(dataset.folder / KEYS)
    )
