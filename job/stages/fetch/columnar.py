"""parquet, arrow and pickle: typed columns, turned into strings a column at a time."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch.arrow_messages import MAGIC, batch_sizes
from job.stages.fetch.bounds import Meter, too_long
from job.stages.fetch.chunks import (
    CHUNK_CHARS,
    CHUNK_ROWS,
    Chunk,
    Rows,
    Strings,
    as_text,
    check_names,
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
        DataError: two columns have the same name, or the file becomes too large.
    """
    from pyarrow import parquet

    meter = Meter(name, file.seek(0, io.SEEK_END), data.max_expansion)
    # otherwise a whole row group, usually of a million rows, is in memory at once
    options = {"buffer_size": CHUNK_CHARS, "pre_buffer": False}
    opened = parquet.ParquetFile(file, **options)
    groups = [opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups)]
    for group in groups:
        meter.add(group.total_byte_size)
    names = [schema.path for schema in map(opened.schema.column, range(len(opened.schema)))]
    dictionaries = parquet.ParquetFile(file, **options, read_dictionary=names)

    def batches() -> Iterator[pa.RecordBatch]:
        for number, group in enumerate(groups):
            size = max(group.total_byte_size, _most_of(dictionaries, number, group))
            rows = _rows_a_chunk(size, group.num_rows)
            yield from opened.iter_batches(rows, row_groups=[number], use_threads=False)

    return _chunks(batches(), opened.schema_arrow, name, data)


def _most_of(dictionaries: Any, number: int, group: Any) -> int:
    """The bytes that a row group would take if every value were the longest of its dictionary.

    A dictionary holds each value once: in a few bytes it can name a long one a million times.
    """
    columns = [group.column(i) for i in range(group.num_columns)]
    encoded = [c for c in columns if c.has_dictionary_page and c.physical_type == "BYTE_ARRAY"]
    if not encoded:
        return 0
    paths = [column.path_in_schema for column in encoded]
    rows = dictionaries.iter_batches(1, row_groups=[number], columns=paths, use_threads=False)
    first = next(rows, None)
    longest = max(map(_longest, first.columns), default=0) if first is not None else 0
    return int(longest * max(column.num_values for column in encoded))


def read_arrow(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """Rows of an Arrow stream or an Arrow (Feather V2) file. `file` must be seekable.

    Raises:
        DataError: two columns have the same name, or a batch is too large.
    """
    _check_batches(file, name, data)
    file.seek(0)
    start = file.read(len(MAGIC))
    file.seek(0)
    if start == MAGIC:
        opened = pa.ipc.open_file(file)
        batches = (opened.get_batch(i) for i in range(opened.num_record_batches))
        return _chunks(batches, opened.schema, name, data)
    stream = pa.ipc.open_stream(file)
    return _chunks(iter(stream), stream.schema, name, data)


def _check_batches(file: BinaryIO, name: str, data: Data) -> None:
    """Refuse what would take too much memory before a byte of it is unpacked."""
    meter = Meter(name, file.seek(0, io.SEEK_END), data.max_expansion)
    file.seek(0)
    try:
        for number, size in enumerate(batch_sizes(file), 1):
            meter.add(size)
            if size > data.max_batch_bytes:
                raise DataError(
                    f"{name}: record batch {number} takes {size:,} bytes in memory, "
                    f"{data.max_batch_bytes:,} are allowed",
                    hint="write it in smaller batches, or raise FINETUNE_DATA__MAX_BATCH_BYTES",
                )
    except (struct.error, ValueError, OSError):
        return  # Arrow will say what is wrong with it


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
    rows = Rows()
    for start in range(0, len(value), CHUNK_ROWS):
        for number, row in enumerate(value[start : start + CHUNK_ROWS], start + 1):
            rows.add(number, {str(key): value for key, value in row.items()}, 0)
            if rows.full:
                yield rows.chunk()
    yield rows.chunk()


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


def _chunks(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, name: str, data: Data
) -> Iterator[Chunk]:
    check_names(schema.names, name)
    classes = features_with_names(schema)
    first = 1
    for whole in batches:
        arrays = [_checked(values) for values in whole.columns]
        longest = max(map(_longest, arrays), default=0)
        size = _rows_a_chunk(max(whole.nbytes, longest * whole.num_rows), whole.num_rows)
        for start in range(0, whole.num_rows, size):
            parts = [_decoded(values.slice(start, size)) for values in arrays]
            _refuse_long(parts, first, name, data)
            columns = {
                column: _strings(values, classes.get(column))
                for column, values in zip(schema.names, parts, strict=True)
            }
            rows = min(size, whole.num_rows - start)
            yield Chunk(columns, range(first, first + rows))
            first += rows


def _checked(values: pa.Array) -> pa.Array:
    """A column, known to stay within its buffers: Arrow trusts what it reads, and offsets that lie
    would make rows of this process's memory.

    Raises:
        pa.ArrowInvalid: it does not.
    """
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    # text that is not utf-8 costs its row only
    as_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    view = as_bytes.get(values.type)
    (values if view is None else values.view(view)).validate(full=True)
    return values


def _longest(values: pa.Array) -> int:
    """The bytes of the longest value that is stored once and may be named often; 0 if there is none."""
    kind = values.type
    if isinstance(values, pa.ListArray | pa.LargeListArray):
        return _longest(values.values)
    if isinstance(values, pa.StructArray):
        return max(map(_longest, values.flatten()), default=0)
    if _is_view(kind) and len(values):
        lengths = np.frombuffer(values.buffers()[1], np.int32)[::4]  # which a view begins with
        return int(lengths[values.offset : values.offset + len(values)].max())
    if isinstance(values, pa.DictionaryArray):
        return _longest_stored(values.dictionary)
    if isinstance(values, pa.RunEndEncodedArray):
        return _longest_stored(values.values)
    return 0


def _longest_stored(values: pa.Array) -> int:
    if not len(values):
        return 0
    if _holds_bytes(values.type) and not _is_view(values.type):
        return int(pc.max(pc.binary_length(values)).as_py() or 0)
    return int(values.nbytes if pa.types.is_nested(values.type) else values.nbytes // len(values))


def _decoded(values: pa.Array) -> pa.Array:
    """Values that are named, each where it belongs."""
    if isinstance(values, pa.DictionaryArray):
        # Arrow cannot pick views, of which polars makes its categories
        stored = _decoded(values.dictionary)
        return pa.DictionaryArray.from_arrays(values.indices, stored).dictionary_decode()
    if isinstance(values, pa.RunEndEncodedArray):
        return pc.run_end_decode(values)
    if _is_view(values.type):
        return values.view(pa.binary_view()).cast(pa.large_binary())
    return values


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


def _refuse_long(parts: list[pa.Array], first: int, name: str, data: Data) -> None:
    """Refuse a row that is too long before it is copied."""
    if sum(part.nbytes for part in parts) <= data.max_row_bytes:
        return
    for row in range(len(parts[0])):
        size = sum(part.slice(row, 1).nbytes for part in parts)
        if size > data.max_row_bytes:
            raise too_long(name, first + row, size, data.max_row_bytes)


def _strings(values: pa.Array, classes: Feature | None) -> Strings:
    """A column as nullable strings; NaN is null, and `classes` names what numbers stand for."""
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
