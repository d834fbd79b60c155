"""Rows on their way from a file to Arrow: chunks of strings, rows that are bad, parts on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import numpy as np
import pyarrow as pa

from job.data.arrow import Writer
from job.data.artifacts import FILE, LINE, Split
from job.data.quarantine import BadRow, write_bad
from job.errors import DataError

CHUNK_ROWS = 5_000
"""Rows that are in memory at once, unless they are so long that CHUNK_CHARS comes first."""
CHUNK_CHARS = 1 << 20
MAX_ROW_CHARS = 1 << 24
"""A file with a longer row (16 Mi characters) is taken not to be what its name says."""

NOT_TEXT = "holds bytes that are not {encoding} text; set FINETUNE_DATA__ENCODING, such as cp1252"

Strings: TypeAlias = Sequence[str | None] | pa.Array


@dataclass(frozen=True)
class Chunk:
    """Some rows of one file: equally long columns of nullable strings, and each row's line."""

    columns: Mapping[str, Strings] = field(default_factory=dict)
    lines: Sequence[int] = ()
    bad: Sequence[BadRow] = ()


def as_text(value: Any) -> str | None:
    """A value as a string column holds it: text as it is, anything else as JSON, NaN as null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, (bool, int, float, list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    plain = _plain(value)
    return plain if isinstance(plain, str) else as_text(plain)


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as Python's; whatever else there is as its text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str | None]]:
    """Objects as columns, in the order in which the names appear; a missing value is null."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [as_text(row.get(name)) for row in rows] for name in names}


def check_names(names: Sequence[str], file: str) -> None:
    """Refuse column names that are empty, appear twice, or are the job's own.

    Raises:
        DataError: naming the column and the file.
    """
    for position, name in enumerate(names, 1):
        if not name:
            raise DataError(
                f"{file}: column {position} has no name in the header",
                hint="name it (pandas writes such a column for its index: use index=False), or set "
                "FINETUNE_DATA__COLUMN_NAMES if the file has no header",
            )
        if names.index(name) + 1 != position:
            raise DataError(
                f"{file}: the column {name!r} appears twice in the header",
                hint="rename one, or set FINETUNE_DATA__COLUMN_NAMES if the file has no header",
            )
        if name in (FILE, LINE):
            raise DataError(f"{file}: the column name {name} is taken by the job", hint="rename it")


class Parts:
    """Writes the rows of one split: an Arrow stream for each file, and another when its columns grow."""

    def __init__(
        self, folder: Path, split: Split, quarantine: TextIO, *, encoding: str, limit: int | None
    ) -> None:
        self.paths: list[Path] = []
        self.read = self.bad = 0
        self._folder, self._split, self._quarantine = folder, split, quarantine
        self._encoding, self._limit = encoding, limit
        self._open = ExitStack()
        self._writer: Writer | None = None
        self._names: list[str] = []
        self._index, self._name = 0, ""

    @property
    def full(self) -> bool:
        """Whether as many rows were read as are allowed."""
        return self._limit is not None and self.read >= self._limit

    def begin(self, index: int, name: str) -> None:
        """The rows that follow come from the file with this index and name."""
        self.close()
        self._index, self._name, self._names = index, name, []

    def close(self) -> None:
        """Finish the part that is being written."""
        self._open.close()
        self._writer = None

    def add(self, chunk: Chunk) -> None:
        """Write a chunk's rows, as far as the limit allows, and its bad rows to the quarantine.

        Raises:
            DataError: a column name is one of the job's own.
        """
        columns, lines, bad = _encodable(_cut(chunk, self._limit, self.read), self._encoding)
        self.read += len(lines) + len(bad)
        self.bad += len(bad)
        write_bad(self._quarantine, self._split, self._name, bad)
        if not lines:
            return
        batch = self._batch(columns, lines)
        if self._writer is None:
            path = self._folder / f"{self._split}-{len(self.paths):06d}.arrow"
            self._writer = self._open.enter_context(Writer(path, batch.schema))
            self.paths.append(path)
        self._writer.write(batch)

    def _batch(self, columns: Mapping[str, pa.Array], lines: Sequence[int]) -> pa.RecordBatch:
        if new := [name for name in columns if name not in self._names]:
            self.close()
            self._names = [*self._names, *new]
            check_names(self._names, self._name)
        rows = len(lines)
        arrays = [columns[n] if n in columns else pa.nulls(rows, pa.string()) for n in self._names]
        file = pa.array(np.full(rows, self._index, np.int32))
        return pa.RecordBatch.from_arrays(
            [*arrays, file, pa.array(lines, pa.int64())], [*self._names, FILE, LINE]
        )


def _cut(chunk: Chunk, limit: int | None, read: int) -> Chunk:
    """The chunk without the rows beyond the limit."""
    if limit is None or read + len(chunk.lines) + len(chunk.bad) <= limit:
        return chunk
    lines = sorted([*chunk.lines, *(bad.line for bad in chunk.bad)])[: limit - read]
    last = lines[-1] if lines else 0
    rows = sum(line <= last for line in chunk.lines)
    return Chunk(
        {name: values[:rows] for name, values in chunk.columns.items()},
        chunk.lines[:rows],
        [bad for bad in chunk.bad if bad.line <= last],
    )


def _encodable(
    chunk: Chunk, encoding: str
) -> tuple[dict[str, pa.Array], Sequence[int], list[BadRow]]:
    """The chunk as Arrow; rows with bytes that could not be decoded join the bad ones."""
    names = list(chunk.columns)
    strange = [name for name in names if not _is_text(name)]
    with suppress(UnicodeEncodeError):  # lone surrogates stand for such bytes; they are rare
        if not strange:
            arrays = {name: _arrow(values) for name, values in chunk.columns.items()}
            return arrays, chunk.lines, list(chunk.bad)
    rows = list(zip(*(_python(values) for values in chunk.columns.values()), strict=True))
    good = [
        all(
            value is None or (name not in strange and _is_text(value))
            for name, value in zip(names, row, strict=True)
        )
        for row in rows
    ]
    reason = NOT_TEXT.format(encoding=encoding)
    bad = [
        BadRow(line, reason, json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False))
        for line, row, ok in zip(chunk.lines, rows, good, strict=True)
        if not ok
    ]
    kept = [row for row, ok in zip(rows, good, strict=True) if ok]
    columns = {
        name: pa.array([row[i] for row in kept], pa.string())
        for i, name in enumerate(names)
        if name not in strange
    }
    lines = [line for line, ok in zip(chunk.lines, good, strict=True) if ok]
    return columns, lines, [*chunk.bad, *bad]


def _arrow(values: Strings) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, pa.string())


def _python(values: Strings) -> Sequence[str | None]:
    strings: Sequence[str | None] = values.to_pylist() if isinstance(values, pa.Array) else values
    return strings


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
