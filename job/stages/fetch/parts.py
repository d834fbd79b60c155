"""Rows on their way from a file's chunks to Arrow streams on this disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from job.data.arrow import Writer
from job.data.artifacts import FILE, LINE, Split
from job.data.quarantine import BadRow, write_bad
from job.errors import DataError
from job.settings import Data
from job.stages.fetch.bounds import Meter, too_long
from job.stages.fetch.chunks import HALF, NOT_TEXT, Chunk, Strings, check_names
from job.stages.fetch.nested import Nested
from job.text import is_text


class Parts:
    """Writes the rows of one split: an Arrow stream for each file, and another when its columns grow."""

    def __init__(
        self, folder: Path, split: Split, quarantine: TextIO, data: Data, *, limit: int | None
    ) -> None:
        self.paths: list[Path] = []
        self.read = self.bad = 0
        self._folder, self._split, self._quarantine = folder, split, quarantine
        self._data, self._limit = data, limit
        self._nested = Nested(data)
        self._open = ExitStack()
        self._writer: Writer | None = None
        self._names: dict[str, None] = {}
        self._index, self._name = 0, ""
        self._meter = Meter("", 0, data.max_expansion)

    @property
    def full(self) -> bool:
        """Whether as many rows were read as are allowed."""
        return self._limit is not None and self.read >= self._limit

    def begin(self, index: int, name: str, size: int) -> None:
        """The rows that follow come from the file with this index and name, and so many bytes."""
        self.close()
        self._index, self._name, self._names = index, name, {}
        self._meter = Meter(name, size, self._data.max_expansion)

    def close(self) -> None:
        """Finish the part that is being written."""
        self._open.close()
        self._writer = None

    def add(self, chunk: Chunk) -> None:
        """Write a chunk's rows, as far as the limit allows, and its bad rows to the quarantine.

        Raises:
            DataError: the file has too many columns, one whose name is the job's own, or a row that
                is too long, or its rows have become too large.
        """
        cut = _cut(chunk, self._limit, self.read)
        columns, lines, bad = _encodable(cut, self._data.encoding)
        self.read += len(lines) + len(bad)
        self.bad += len(bad)
        self._meter.add(write_bad(self._quarantine, self._split, self._name, bad))
        if not lines:
            return
        batch = self._batch(self._nested.added(columns), lines)
        self._meter.add(batch.nbytes)
        if self._writer is None:
            path = self._folder / f"{self._split}-{len(self.paths):06d}.arrow"
            self._writer = self._open.enter_context(Writer(path, batch.schema))
            self.paths.append(path)
        self._writer.write(batch)

    def _batch(self, columns: Mapping[str, pa.Array], lines: Sequence[int]) -> pa.RecordBatch:
        if new := [name for name in columns if name not in self._names]:
            self.close()
            self._names.update(dict.fromkeys(new))
            self._check_names()
        rows = len(lines)
        nulls = pa.nulls(rows, pa.string())
        arrays = [columns.get(name, nulls) for name in self._names]
        file = pa.array(np.full(rows, self._index, np.int32))
        batch = pa.RecordBatch.from_arrays(
            [*arrays, file, pa.array(lines, pa.int64())], [*self._names, FILE, LINE]
        )
        if batch.nbytes > (most := self._data.max_row_bytes):
            sizes = _sizes(columns.values(), rows)
            if (longest := int(sizes.max())) > most:
                raise too_long(self._name, lines[int(sizes.argmax())], longest, most)
        return batch

    def _check_names(self) -> None:
        if len(self._names) > (most := self._data.max_columns):
            raise DataError(
                f"{self._name}: it has {len(self._names):,} columns or more, {most:,} are allowed",
                hint="if no column is meant to be named by its row's content, raise "
                "FINETUNE_DATA__MAX_COLUMNS",
            )
        check_names(list(self._names), self._name)


def _sizes(columns: Iterable[pa.Array], rows: int) -> npt.NDArray[np.int64]:
    """The bytes of each row."""
    sizes = np.zeros(rows, np.int64)
    for column in columns:
        if column.null_count < rows:
            sizes += pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return sizes


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
    strange = [name for name in names if not is_text(name)]
    with suppress(UnicodeEncodeError):  # lone surrogates stand for such bytes; they are rare
        if not strange:
            arrays = {name: _arrow(values) for name, values in chunk.columns.items()}
            return arrays, chunk.lines, list(chunk.bad)
    rows = list(zip(*(_python(values) for values in chunk.columns.values()), strict=True))
    good = [
        all(
            value is None or (name not in strange and is_text(value))
            for name, value in zip(names, row, strict=True)
        )
        for row in rows
    ]
    bad = [
        BadRow(
            line,
            _reason(row, encoding),
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False),
        )
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


def _reason(row: Sequence[str | None], encoding: str) -> str:
    """Bytes that cannot be decoded are there as the first 256 of the low surrogates."""
    text = "".join(value or "" for value in row)
    half = any("\ud800" <= char < "\udc00" or "\udcff" < char <= "\udfff" for char in text)
    return HALF if half else NOT_TEXT.format(encoding=encoding)
