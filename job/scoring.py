"""A model's outputs over a table of encoded rows, and the scores that follow from them.

Training selects its best checkpoint with it and the evaluate stage makes the final scores, so both
mean the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from job.batching import evaluation_batches
from job.tables import MappedTable
from job.tasks.base import Floats, Padding, Rows, Task

if TYPE_CHECKING:
    from torch import device

MINIMIZED = ("loss", "mse", "mae", "perplexity", "hamming_loss")


@dataclass(frozen=True)
class Scored:
    """What a model made of a table."""

    outputs: Floats
    """One entry a row, in the table's order."""
    metrics: dict[str, float]
    """Without prefix; `loss` among them."""


@dataclass(frozen=True)
class Limits:
    """How much a micro-batch holds and how it is padded."""

    tokens: int
    padding: Padding

    def lengths(self, table: MappedTable) -> Rows:
        """The padded-to-nothing length of each row; all equal under fixed padding."""
        lengths = table.column("length").astype(np.int64)
        return np.full_like(lengths, self.padding.fixed) if self.padding.fixed else lengths


def score(
    model: Any,
    task: Task,
    table: MappedTable,
    limits: Limits,
    where: device,
    *,
    poll: Callable[[], None],
    rows: int | None = None,
) -> Scored:
    """Run the model over the table (`rows` rows spread over it), longest rows first, in evaluation mode.

    The training mode of the model is restored. `poll` is called between micro-batches.
    """
    import torch

    if rows is not None and rows < len(table):
        table = table.spread(rows)
    lengths = limits.lengths(table)
    outputs: list[Any] = [None] * len(table)
    loss = 0.0
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for numbers in evaluation_batches(
                lengths, tokens=limits.tokens, multiple=limits.padding.multiple
            ):
                poll()
                batch = task.collate(table, numbers, limits.padding)
                batch = {k: v.to(where, non_blocking=True) for k, v in batch.items()}
                values, batch_loss = task.predict(model, batch)
                loss += batch_loss
                for number, value in zip(numbers.tolist(), values, strict=True):
                    outputs[number] = value
    finally:
        model.train(was_training)
    stacked = np.stack(outputs)
    metrics = task.metrics(stacked, table)
    metrics["loss"] = loss / float(task.row_weights(table).sum())
    return Scored(stacked, metrics)


def better(score: float, than: float | None, metric: str) -> bool:
    """Whether a score beats the best one so far."""
    if than is None:
        return True
    return score < than if metric in MINIMIZED else score > than
