"""A split in the order of a column, sorted on disk: however long the rows, few are in memory."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from job.data.arrow import Writer, stream
from job.runtime.stop import poll
from job.stages.clean.scan import SORT

BUCKETS = 64
"""Files that the rows are dealt out to, each a range of the wanted order; one fits into memory."""
ROWS = 5_000
"""Rows in a batch of the result."""

_PLACE = "__place"


def sort_split(path: Path, *, reverse: bool) -> None:
    """Put the rows of an Arrow stream in the order of its SORT column, and drop that column.

    The order is numeric if all values are numbers. Rows without a value come last, and rows with
    equal values keep their order.
    """
    order = _order(path, reverse)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    buckets = _deal(path, places)
    target = path.with_suffix(".sorted")
    with Writer(target) as writer:
        for bucket in buckets:
            table = pa.Table.from_batches(list(stream(bucket)))
            rows = np.argsort(table.column(_PLACE).to_numpy())
            table = table.drop_columns([_PLACE]).combine_chunks().take(pa.array(rows))
            for batch in table.to_batches(max_chunksize=ROWS):
                poll()
                writer.write(batch)
            bucket.unlink()
    target.replace(path)


def _order(path: Path, reverse: bool) -> npt.NDArray[np.int64]:
    """The rows' numbers in the wanted order."""
    try:
        values = [pc.cast(batch.column(SORT), pa.float64()) for batch in stream(path)]
    except pa.ArrowInvalid:  # not all of them are numbers
        # taken, that is copied, since a column by itself would keep its whole batch in memory
        values = [b.column(SORT).take(pa.array(range(b.num_rows))) for b in stream(path)]
    table = pa.table({SORT: pa.chunked_array(values)})
    keys = [(SORT, "descending" if reverse else "ascending")]
    return np.array(pc.sort_indices(table, sort_keys=keys), np.int64)


def _deal(path: Path, places: npt.NDArray[np.int64]) -> list[Path]:
    """Write each row, with its place, to the file of its part of the order."""
    size = -(-len(places) // BUCKETS)
    paths = [path.with_suffix(f".{i:03d}") for i in range(-(-len(places) // size))]
    start = 0
    with ExitStack() as stack:
        writers = [stack.enter_context(Writer(bucket)) for bucket in paths]
        for batch in stream(path):
            poll()
            local = places[start : start + batch.num_rows]
            start += batch.num_rows
            whole = batch.drop_columns([SORT]).append_column(_PLACE, pa.array(local))
            for bucket in np.unique(local // size).tolist():
                writers[bucket].write(whole.take(pa.array(np.flatnonzero(local // size == bucket))))
    return paths
