"""How much a micro-batch holds and how it is padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from job.batching.padding import Padding
from job.batching.steps import Rows
from job.data.arrow import MappedTable

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Limits:
    """How much a micro-batch holds and how it is padded."""

    tokens: int
    padding: Padding

    def lengths(self, table: MappedTable) -> Rows:
        """The padded-to-nothing length of each row; all equal under fixed padding (and more than
        its width where a row has two sides)."""
        lengths = table.column("length").astype(np.int64)
        return np.maximum(lengths, self.padding.fixed) if self.padding.fixed else lengths
