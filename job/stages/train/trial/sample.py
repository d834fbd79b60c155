"""The rows that a model is tried with: few, and of different lengths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from job.batching import Rows
from job.batching.padding import Padding
from job.data.arrow import MappedTable, list_column, stream
from job.data.artifacts import FILE, LINE, ROW, Dataset
from job.models.base import Base
from job.tasks.base import Task
from job.tasks.row_rules import Columns

ROWS = 4
SHORT = 128
"""Tokens that the rows of the batch have at most, if there are such rows."""
LONG = 2048
"""Tokens up to which the longest row is run as well, alone."""
FIRST = 64
"""Rows of text that are looked at."""


@dataclass(frozen=True)
class Sample:
    """Some rows of a data set, encoded and as text."""

    table: MappedTable
    padding: Padding
    max_length: int
    """Tokens that a row may have."""
    texts: Columns
    """Cleaned rows by role; no roles where the data set has kept none."""

    @classmethod
    def of(cls, dataset: Dataset, padding: Padding) -> Sample:
        """Rows of a data set that is encoded already; text is kept of held-out rows alone."""
        kept = [path for split in ("validation", "test") if (path := dataset.rows(split)).exists()]
        table = MappedTable(dataset.table("train"))
        length = int(dataset.profile.get("max_length", table.column("length").max()))
        return cls(_unpacked(table), padding, length, _first(kept[0]) if kept else {})

    @classmethod
    def encoded(cls, cleaned: Path, task: Task, base: Base, padding: Padding) -> Sample:
        """The first rows of a cleaned split, encoded.

        Raises:
            DataError, SettingsError: see `Task.features`.
        """
        texts = _first(cleaned)
        features = task.features(texts, base.tokenizer, base.max_length)
        columns = {**features.columns, ROW: pa.array(features.source)}
        packer = task.packer(base.tokenizer, min(SHORT, base.max_length))
        if packer is not None:
            blocks = [packer.add(features.columns["input_ids"]), packer.flush()]
            columns = pa.Table.from_batches([block for block in blocks if block is not None])
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        return cls(
            _unpacked(MappedTable.of(table.combine_chunks())), padding, base.max_length, texts
        )

    @cached_property
    def rows(self) -> Rows:
        """A few rows of different lengths, in order of length: short ones, if there are any."""
        lengths = self._lengths
        order = np.argsort(lengths, kind="stable")
        short = order[lengths[order] <= SHORT]
        among = short if len(short) >= ROWS else order[:ROWS]
        picked = np.linspace(0, len(among) - 1, min(ROWS, len(among))).astype(np.int64)
        rows: Rows = np.unique(picked)
        return among[rows]

    @cached_property
    def longest(self) -> Rows:
        """The longest row, unless it is among `rows` or too long to be tried; shape (0,) or (1,)."""
        lengths = self._lengths
        row = np.array([int(np.where(lengths <= LONG, lengths, -1).argmax())])
        return row if lengths[row[0]] <= LONG and row[0] not in self.rows else row[:0]

    @cached_property
    def wide(self) -> Padding:
        """Padding that adds to the longest of `rows` too, where there is room."""
        width = int(self._lengths[self.rows].max())
        some = self._lengths[self.rows].min() < width or width + 1 > self.max_length
        return replace(self.padding, fixed=None, multiple=1 if some else width + 1)

    @property
    def bare(self) -> Padding:
        """Padding for a row alone: none."""
        return replace(self.padding, fixed=None, multiple=1)

    @cached_property
    def _lengths(self) -> Rows:
        return self.table.column("length").astype(np.int64)


def _first(path: Path) -> Columns:
    for batch in stream(path):
        columns: Columns = batch.slice(0, FIRST).drop_columns([FILE, LINE]).to_pydict()
        return columns
    return {}


def _unpacked(table: MappedTable) -> MappedTable:
    """Blocks of one length cut to different ones; rows that are not packed as they are."""
    if ROW in table.names:
        return table
    count = min(len(table), ROWS)
    ids = [
        values[: max(2, min(SHORT, len(values)) * (number + 1) // count)]
        for number, values in enumerate(table.lists("input_ids", np.arange(count)))
    ]
    lengths = np.array([len(values) for values in ids], np.int32)
    flat = np.fromiter(chain.from_iterable(ids), np.int32, count=int(lengths.sum()))
    columns = {"input_ids": list_column(flat, lengths), "length": pa.array(lengths)}
    return MappedTable.of(pa.table(columns))
