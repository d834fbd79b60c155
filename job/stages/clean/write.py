"""The second pass: each row to its split, as often as its weight says, in the wanted order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.data.arrow import stream
from job.data.artifacts import FILE, LINE, SPLITS, Split
from job.errors import DataError
from job.runtime.stop import poll
from job.stages.clean.profile import Written
from job.stages.clean.scan import UNIQUE, Scanned
from job.stages.clean.splits import CODE, IN_GATE, TRAIN, Decision, buckets, copies, repeated
from job.stages.clean.tables import Tables
from job.tasks.row_rules import RowRules

GIVEN = "given"
"""Where the rows of a split come from that has files of its own."""


def check_unique(scanned: Scanned, files: Sequence[str], rules: RowRules) -> None:
    """Refuse a value that appears twice, in one of the splits as given, where none may.

    Raises:
        DataError: naming the column, the value and both places.
    """
    for name, keys in scanned.unique.items():
        for split in SPLITS:
            named = (scanned.codes == CODE[split]) & (keys != 0)
            repeats = [repeated(rows[named[rows]], keys) for rows in buckets(keys)]
            pairs = [(int(a[0]), int(b[0])) for a, b in repeats if len(a)]
            if pairs:
                later, before = min(pairs)
                one, two = _values(scanned.path, name, [before, later])
                raise DataError(
                    f"{name} is {one[0]!r} twice in the {rules.source_of(split).rows}: "
                    + " and ".join(f"{files[file]}:{line}" for _, file, line in (one, two)),
                    hint="fix the data, or take the column out of FINETUNE_CLEAN__UNIQUE",
                )


def _values(path: Path, name: str, rows: list[int]) -> list[tuple[str, int, int]]:
    """The value, file and line of some rows, in order."""
    values: list[tuple[str, int, int]] = []
    start = 0
    for batch in stream(path):
        for row in rows:
            if start <= row < start + batch.num_rows:
                place = (UNIQUE + name, FILE, LINE)
                value, file, line = (batch.column(c)[row - start].as_py() for c in place)
                values.append((value, file, line))
        start += batch.num_rows
    return values


def write_splits(
    scanned: Scanned,
    decision: Decision,
    weights: Sequence[float],
    rules: RowRules,
    folder: Path,
    *,
    trained_on: bool,
) -> dict[Split, Written]:
    """Write each split's rows, see `Tables`.

    Rows of weight 0 by chance are counted as dropped in `decision`.
    """
    written: dict[Split, Written] = {}
    uneven = np.array(weights) if any(weight != 1 for weight in weights) else None
    start = 0
    with Tables(scanned, rules, folder, trained_on=trained_on) as tables:
        for batch in stream(scanned.path):
            poll()
            part = slice(start, start + batch.num_rows)
            start = part.stop
            tables.read(batch, part)
            for split in SPLITS:
                rows = np.flatnonzero(decision.codes[part] == CODE[split])
                if uneven is not None and CODE[split] == TRAIN:
                    times = copies(scanned.keys[part], uneven[batch.column(FILE).to_numpy()])
                    rows = _weighted(rows, times, part.start, decision)
                if len(rows):
                    chosen = batch.take(pa.array(rows))
                    written.setdefault(split, Written()).add(chosen, rules)
                    tables.write(split, chosen, rows + part.start)
    return written


def _weighted(
    rows: npt.NDArray[np.int64], times: npt.NDArray[np.int64], first: int, decision: Decision
) -> npt.NDArray[np.int64]:
    """Rows of a batch, each as often as it counts; `first` is the number of the batch's first row."""
    times = np.maximum(times[rows], np.isin(rows + first, decision.needed))
    if missing := int((times == 0).sum()):
        decision.dropped["train"]["weight"] += missing
    return np.repeat(rows, times)


def check_not_empty(
    splits: Mapping[Split, str],
    profile: Mapping[str, Mapping[str, Mapping[str, object]]],
    rules: RowRules,
) -> None:
    """Refuse a wanted split without rows; `splits` says of each where its rows come from.

    Raises:
        DataError: with the reasons for which rows were dropped.
    """
    for split, origin in splits.items():
        counts = profile["splits"].get(split, {})
        if counts.get("rows"):
            continue
        if origin != GIVEN:
            raise DataError(
                f"no {split} rows were {origin} ({profile['splits']['train']['rows']} are left)",
                hint=f"raise FINETUNE_DATA__{split.upper()}_FRACTION, name files in "
                f"FINETUNE_DATA__{split.upper()}, or set the fraction to 0 to do without",
            )
        source = rules.source_of(split)
        reasons = {"read": counts.get("read", 0), "unusable": counts.get("bad", 0)}
        dropped = counts.get("dropped", {})
        reasons |= dropped if isinstance(dropped, dict) else {}
        hint = f"name more files in {source.setting}, or relax FINETUNE_CLEAN__*"
        if IN_GATE in reasons:
            hint = (
                f"name files in {source.setting} that hold other rows than the tests of earlier nights, "
                "by which models are judged"
            )
        raise DataError(
            f"no {source.rows} are left of those {origin} ("
            + ", ".join(f"{reason} {count}" for reason, count in reasons.items())
            + ")",
            hint=hint,
        )
