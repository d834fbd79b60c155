"""How long texts are in words, and the ranges in which that is counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def word_counts(texts: Sequence[str | None]) -> list[int]:
    """How many words each text has; words are what white space separates."""
    return [0 if text is None else len(text.split()) for text in texts]


def bits_of(words: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """The range of each word count: the number of its bits, the same for 0, 1, 2-3, 4-7, …"""
    return np.frexp(np.asarray(words, np.int64))[1]


def length_range(bits: int) -> str:
    """The word counts of so many bits: `0`, `1`, `2-3`, `4-7`, …"""
    low, high = (1 << bits) >> 1, (1 << bits) - 1
    return str(low) if low == high else f"{low}-{high}"
