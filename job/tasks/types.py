"""What a task takes and gives: rows as tokens, micro-batches, outputs of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from job.batching import Rows

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from transformers import PreTrainedTokenizerFast

    from job.data.arrow import MappedTable

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Outputs = list[npt.NDArray[Any]]
"""A model's outputs for encoded rows, one array per row; shapes are the task's own."""
Batch = dict[str, "torch.Tensor"]

FIXED = -1
"""Stands for an epoch where what is drawn afresh each epoch must always be the same."""

IGNORED = -100
"""The label of a position that is not learned from; torch's cross-entropy skips it."""


@dataclass(frozen=True)
class Features:
    """Rows as tokens."""

    columns: dict[str, pa.Array]
    """What `batch_of` reads, including `length` (int32, in tokens)."""
    source: Rows
    """The number, within the batch, of the row that each encoded row came from; a long row may give
    several."""
    truncated: int = 0
    """Rows whose end was cut off."""
    repaired: int = 0
    """Labels that did not fit their neighbours and were changed."""


@dataclass(frozen=True)
class Scored:
    """What scores and predictions are made from: a model's outputs beside the rows they are for."""

    outputs: Outputs
    table: MappedTable
    """The encoded rows, with ROW among the columns unless they are packed."""
    rows: MappedTable
    """The cleaned rows, by role."""
    tokenizer: PreTrainedTokenizerFast


def uncounted(batch: Batch) -> Batch:
    """The same micro-batch with a loss of 0."""
    import torch

    if "weights" in batch:
        return {**batch, "weights": torch.zeros_like(batch["weights"])}
    return {**batch, "labels": torch.full_like(batch["labels"], IGNORED)}
