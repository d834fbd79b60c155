"""How a micro-batch is made rectangular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Padding:
    """Pads rows of tokens to one length."""

    token: int
    """The tokenizer's padding token id."""
    multiple: int = 1
    """Lengths are rounded up to it."""
    fixed: int | None = None
    """One length for all, or None for the longest row's."""
    side: str = "right"
    """Where the padding goes."""

    def width(self, lengths: Sequence[int]) -> int:
        """The padded length for rows of these lengths."""
        return self.fixed or -(-max(lengths) // self.multiple) * self.multiple

    def fill(self, values: Sequence[npt.NDArray[Any]], filler: int) -> npt.NDArray[np.int64]:
        """Rows of different lengths as one array, shape (rows, width)."""
        lengths = [len(value) for value in values]
        width = self.width(lengths)
        filled = np.full((len(values), width), filler, dtype=np.int64)
        for row, value in zip(filled, values, strict=True):
            if self.side == "right":
                row[: len(value)] = value
            else:
                row[width - len(value) :] = value
        return filled
