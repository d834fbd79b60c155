"""Arrow on disk: written a batch at a time, streamed without mapping, or mapped for random access.

Streams (`.arrow`, the streaming format that `datasets.Dataset.from_file` reads too) are what the
stages hand on. Preparation reads them through a plain file, since mapped pages count as this
process's memory; training maps them, since it reads rows in any order and shares the pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64 = npt.NDArray[np.int64]


class Writer:
    """Writes record batches to one stream; on an exception the half-written file is removed.

    Without a schema, the first batch's is taken, and no file is made before there is one.
    """

    def __init__(self, path: Path, schema: pa.Schema | None = None) -> None:
        self.path = path
        self.rows = 0
        self._open = ExitStack()
        self._stream: pa.RecordBatchStreamWriter | None = None
        if schema is not None:
            self._begin(schema)

    def _begin(self, schema: pa.Schema) -> pa.RecordBatchStreamWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._open.enter_context(pa.OSFile(str(self.path), "wb"))
        self._stream = pa.ipc.new_stream(file, schema)
        return self._stream

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch."""
        (self._stream or self._begin(batch.schema)).write_batch(batch)
        self.rows += batch.num_rows

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open:
            if kind is None and self._stream is not None:
                self._stream.close()
        if kind is not None:
            self.path.unlink(missing_ok=True)


def stream(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a stream, one in memory at a time."""
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
        yield from reader


def schema_of(path: Path) -> pa.Schema:
    """The schema of a stream."""
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
        return reader.schema


class MappedTable:
    """A memory-mapped stream with rows addressed by number, without an object per value.

    Columns of lists are read as numpy slices of the mapped values; a row costs one slice.
    """

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path), "r") as file:
            self._index(pa.ipc.open_stream(file).read_all())

    def take(self, rows: Int64) -> MappedTable:
        """These rows, copied."""
        return self.of(self.table.take(rows))

    def slice(self, start: int, rows: int) -> MappedTable:
        """At most so many rows from `start` on."""
        return self.of(self.table.slice(start, rows).combine_chunks())

    def replaced(self, name: str, values: Int64) -> MappedTable:
        """The table with another column of this name."""
        at = self.table.column_names.index(name)
        return self.of(self.table.set_column(at, name, pa.array(values)))

    @classmethod
    def of(cls, table: pa.Table) -> MappedTable:
        """A table that is in memory already."""
        mapped = cls.__new__(cls)
        mapped._index(table)
        return mapped

    def _index(self, table: pa.Table) -> None:
        self.table = table
        self._columns: dict[str, npt.NDArray[np.generic]] = {}
        self._lists: dict[str, list[tuple[Int64, npt.NDArray[np.generic]]]] = {}
        sizes = (
            [len(chunk) for chunk in self.table.column(0).chunks] if self.table.num_columns else []
        )
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def names(self) -> list[str]:
        """The columns."""
        return list(self.table.column_names)

    def column(self, name: str) -> npt.NDArray[np.generic]:
        """A scalar column as one numpy array, made once."""
        if name not in self._columns:
            self._columns[name] = np.asarray(self.table.column(name).to_numpy())
        return self._columns[name]

    def lists(self, name: str, rows: Int64) -> list[npt.NDArray[np.generic]]:
        """The values of a list column for these rows, each a read-only view of the mapped file."""
        if name not in self._lists:
            self._lists[name] = self._open(name)
        parts = self._lists[name]
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        local = rows - self._starts[chunks]
        return [
            parts[chunk][1][parts[chunk][0][row] : parts[chunk][0][row + 1]]
            for chunk, row in zip(chunks.tolist(), local.tolist(), strict=True)
        ]

    def _open(self, name: str) -> list[tuple[Int64, npt.NDArray[np.generic]]]:
        chunks = self.table.column(name).chunks
        return [
            (chunk.offsets.to_numpy(), chunk.values.to_numpy(zero_copy_only=True))
            for chunk in chunks
        ]


def list_column(values: npt.NDArray[np.generic], lengths: npt.ArrayLike) -> pa.ListArray:
    """A column of lists: the values one list after the other, and how many each row has."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
