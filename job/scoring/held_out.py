"""Held-out rows: a split that is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from job.data.arrow import MappedTable
from job.data.artifacts import ROW, Dataset, Split


class HeldOut:
    """A split that is scored: its encoded rows, and its cleaned rows as text."""

    def __init__(self, encoded: MappedTable, rows: MappedTable) -> None:
        self.encoded, self.rows = encoded, rows

    @property
    def packed(self) -> bool:
        """Whether the encoded rows are blocks of several rows joined, and belong to none of them."""
        return ROW not in self.encoded.names

    @classmethod
    def open(cls, dataset: Dataset, split: Split) -> HeldOut | None:
        """The split, or None where the data set has none."""
        path: Path = dataset.table(split)
        return cls(MappedTable(path), MappedTable(dataset.rows(split))) if path.exists() else None

    def spread(self, rows: int | None) -> HeldOut:
        """At most so many rows, evenly spaced, with all encoded rows of each; where these are packed,
        at most so many blocks."""
        count = len(self.encoded if self.packed else self.rows)
        if rows is None or rows >= count:
            return self
        if self.packed:
            blocks = np.linspace(0, count - 1, rows).astype(np.int64)
            return HeldOut(self.encoded.take(blocks), self.rows)
        chosen = np.linspace(0, len(self.rows) - 1, rows).astype(np.int64)
        number = np.full(len(self.rows), -1, dtype=np.int64)
        number[chosen] = np.arange(rows)
        source = number[self.encoded.column(ROW)]
        encoded = self.encoded.take(np.flatnonzero(source >= 0)).replaced(ROW, source[source >= 0])
        return HeldOut(encoded, self.rows.take(chosen))
