"""How much a micro-batch holds and how it is padded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from job.batching import Lengths, Rows
from job.batching.padding import Padding
from job.batching.sampler import evaluation_batches
from job.data.arrow import MappedTable


@dataclass(frozen=True)
class Limits:
    """How much a micro-batch holds and how it is padded."""

    tokens: int
    """Padded tokens; a row that has more is a micro-batch of its own."""
    padding: Padding

    def lengths(self, table: MappedTable) -> Lengths:
        """Each row's own length; all are equal under fixed padding (and more than its width where a
        row has two sides)."""
        lengths = table.column("length").astype(np.int64)
        return np.maximum(lengths, self.padding.fixed) if self.padding.fixed else lengths

    def batches(self, table: MappedTable) -> list[Rows]:
        """All rows in micro-batches, longest first, so that an out-of-memory error comes at once."""
        lengths = self.lengths(table)
        return evaluation_batches(lengths, tokens=self.tokens, multiple=self.padding.multiple)
