"""parquet, arrow and pickle: typed columns, turned into strings a column at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch.chunks import (
    CHUNK_CHARS,
    CHUNK_ROWS,
    Chunk,
    Strings,
    as_text,
    check_names,
    columns_of,
)
from job.stages.fetch.class_names import Feature, features_with_names, named


def pickle_refused(name: str) -> SettingsError:
    """Why a pickle is not read."""
    return SettingsError(
        f"{name}: a pickle is not read: whoever wrote it can run any program in this job",
        hint="convert it to parquet, or trust its writer and set FINETUNE_DATA__ALLOW_PICKLE=true",
    )


def read_parquet(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """Rows of a parquet file; a row's line is its number. `file` must be seekable.

    Raises:
        DataError: two columns have the same name.
    """
    from pyarrow import parquet

    # otherwise a whole row group, usually of a million rows, is in memory at once
    opened = parquet.ParquetFile(file, buffer_size=CHUNK_CHARS, pre_buffer=False)
    groups = [opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    rows = _rows_a_chunk(size, opened.metadata.num_rows)
    batches = opened.iter_batches(batch_size=rows, use_threads=False)
    return _chunks(batches, opened.schema_arrow, name)


def read_arrow(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """Rows of an Arrow stream or an Arrow (Feather V2) file. `file` must be seekable.

    Raises:
        DataError: two columns have the same name.
    """
    start = file.read(6)
    file.seek(0)
    if start == b"ARROW1":
        opened = pa.ipc.open_file(file)
        batches = (opened.get_batch(i) for i in range(opened.num_record_batches))
        return _chunks(batches, opened.schema, name)
    stream = pa.ipc.open_stream(file)
    return _chunks(iter(stream), stream.schema, name)


def read_pickle(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """Rows of a pickled pandas DataFrame or list of dicts; it is loaded whole.

    Raises:
        SettingsError: pickles are not allowed.
        DataError: it cannot be loaded, or holds something else.
    """
    import pickle

    if not data.allow_pickle:
        raise pickle_refused(name)
    try:
        value = pickle.load(file)  # noqa: S301 - refused unless the setting allows it
    except Exception as error:  # a pickle can raise anything
        raise DataError(f"{name}: the pickle cannot be loaded: {error}") from error
    if hasattr(value, "iloc") and hasattr(value, "columns"):
        value = _Frame(value)
    elif not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise DataError(
            f"{name}: the pickle holds a {type(value).__name__}",
            hint="write a pandas DataFrame or a list of dicts",
        )
    for start in range(0, len(value), CHUNK_ROWS):
        rows = [{str(k): v for k, v in row.items()} for row in value[start : start + CHUNK_ROWS]]
        yield Chunk(columns_of(rows), range(start + 1, start + 1 + len(rows)))


class _Frame:
    """A DataFrame as a sequence of dicts, with None for what pandas counts as missing."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __len__(self) -> int:
        return len(self._frame)

    def __getitem__(self, rows: slice) -> list[dict[str, Any]]:
        part = self._frame.iloc[rows].astype(object)
        records: list[dict[str, Any]] = part.where(part.notna(), None).to_dict("records")
        return records


def _rows_a_chunk(size: int, rows: int) -> int:
    """How many rows take CHUNK_CHARS bytes, at most CHUNK_ROWS."""
    return max(1, min(CHUNK_ROWS, rows * CHUNK_CHARS // max(1, size)))


def _chunks(batches: Iterator[pa.RecordBatch], schema: pa.Schema, name: str) -> Iterator[Chunk]:
    check_names(schema.names, name)
    classes = features_with_names(schema)
    first = 1
    for whole in batches:
        size = _rows_a_chunk(whole.nbytes, whole.num_rows)
        for start in range(0, whole.num_rows, size):
            batch = whole.slice(start, size)
            columns = {
                column: _strings(values, classes.get(column))
                for column, values in zip(schema.names, batch.columns, strict=True)
            }
            yield Chunk(columns, range(first, first + batch.num_rows))
            first += batch.num_rows


def _strings(values: pa.Array, classes: Feature | None) -> Strings:
    """A column as nullable strings; NaN is null, and `classes` names what numbers stand for."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    kind = values.type
    if classes is not None:
        return [as_text(named(value, classes)) for value in values.to_pylist()]
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), None, values)
    try:
        if _holds_bytes(kind):  # by way of binary, which makes Arrow check that it is utf-8
            values = values.cast(pa.large_binary()).cast(pa.large_string())
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if _holds_bytes(kind):
            raw = values.cast(pa.large_binary()).to_pylist()
            return [None if v is None else v.decode("utf-8", "surrogateescape") for v in raw]
        return [as_text(value) for value in values.to_pylist()]


def _holds_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )
