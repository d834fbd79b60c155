"""A model's outputs over a table of encoded rows, and the scores that follow from them.

Training selects its best checkpoint with it and the evaluate stage makes the final scores, so both
mean the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from job.batching.padding import Padding
from job.batching.steps import evaluation_batches
from job.data.arrow import MappedTable
from job.data.artifacts import ROW, Dataset, Split
from job.distributed.world import World
from job.errors import Diverged
from job.tasks.base import FIXED, Outputs, Rows, Scored, Task

if TYPE_CHECKING:
    from torch import device
    from transformers import PreTrainedTokenizerFast

MINIMIZED = ("loss", "mse", "mae", "perplexity", "hamming_loss")


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


class HeldOut:
    """A split that is scored: its encoded rows, and its cleaned rows as text."""

    def __init__(self, encoded: MappedTable, rows: MappedTable) -> None:
        self.encoded, self.rows = encoded, rows

    @property
    def packed(self) -> bool:
        """Whether the encoded rows are blocks across rows, and belong to none of them."""
        return ROW not in self.encoded.names

    @classmethod
    def open(cls, dataset: Dataset, split: Split) -> HeldOut | None:
        """The split, or None where the data set has none."""
        path: Path = dataset.table(split)
        return cls(MappedTable(path), MappedTable(dataset.rows(split))) if path.exists() else None

    def spread(self, rows: int | None) -> HeldOut:
        """At most so many rows, evenly spaced, with all encoded rows of each; so many blocks where
        the encoded rows are packed."""
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


def score(
    model: Any,
    task: Task,
    held_out: HeldOut,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    where: device,
    *,
    poll: Callable[[], None],
) -> tuple[Scored, dict[str, float]]:
    """Run the model over the rows, longest first, in evaluation mode.

    The training mode of the model is restored. `poll` is called between micro-batches.

    Returns:
        The outputs, and the metrics without prefix, `loss` among them.

    Raises:
        Diverged: the loss is not a finite number.
    """
    outputs = outputs_of(model, task, held_out.encoded, limits, where, poll=poll)
    return scored_of(task, held_out, tokenizer, *outputs)


def score_together(
    model: Any,
    task: Task,
    held_out: HeldOut,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    where: device,
    world: World,
    *,
    poll: Callable[[], None],
    lockstep: bool = False,
) -> dict[str, float]:
    """The metrics of `score`, the micro-batches dealt out to the ranks; the same on every rank.

    Args:
        poll: called equally often on every rank.
        lockstep: every rank runs the model equally often, over rows that do not count if it must,
            as a model needs that is dealt out itself.
    """
    found = outputs_of(
        model, task, held_out.encoded, limits, where, poll=poll, deal=(world, lockstep)
    )
    parts = world.gather(found) if world.size > 1 else [found]
    metrics: dict[str, float] | None = None
    if world.first:
        _, metrics = scored_of(task, held_out, tokenizer, *_together(parts))
    agreed: dict[str, float] = world.agreed(metrics)
    return agreed


Losses = dict[int, float]
"""The summed loss of each micro-batch by its number."""


def _together(parts: list[tuple[Outputs, Losses]]) -> tuple[Outputs, Losses]:
    """The ranks' outputs as one; each row's stand with one rank only."""
    whole = [
        next((o for o in each if o is not None), None)
        for each in zip(*(p[0] for p in parts), strict=True)
    ]
    losses = {number: loss for part in parts for number, loss in part[1].items()}
    return [np.empty(0) if output is None else output for output in whole], losses


def scored_of(
    task: Task,
    held_out: HeldOut,
    tokenizer: PreTrainedTokenizerFast,
    outputs: Outputs,
    losses: Losses,
) -> tuple[Scored, dict[str, float]]:
    """The scores that follow from a model's outputs.

    Raises:
        Diverged: the loss is not a finite number.
    """
    table = held_out.encoded
    # in the order of the micro-batches, whoever ran them: a sum depends on its order
    loss = sum(losses[number] for number in sorted(losses))
    weights = task.row_weights(table, np.arange(len(table)), FIXED)
    loss /= float(weights.sum(dtype=np.float64)) or 1.0
    if not math.isfinite(loss):
        raise Diverged(f"the loss over {len(table)} held-out rows is {loss}")
    scored = Scored(outputs, table, held_out.rows, tokenizer)
    return scored, {**task.metrics(scored), "loss": loss}


def outputs_of(
    model: Any,
    task: Task,
    table: MappedTable,
    limits: Limits,
    where: device,
    *,
    poll: Callable[[], None],
    deal: tuple[World, bool] | None = None,
) -> tuple[Outputs, Losses]:
    """What the model makes of every encoded row, in the rows' order, and each micro-batch's loss.

    Args:
        deal: run every so many-th micro-batch only, for `score_together`.
    """
    import torch

    outputs: list[Any] = [None] * len(table)
    losses: Losses = {}
    was_training = model.training
    model.eval()
    batches = evaluation_batches(
        limits.lengths(table), tokens=limits.tokens, multiple=limits.padding.multiple
    )
    rank, size, lockstep = (deal[0].rank, deal[0].size, deal[1]) if deal else (0, 1, False)
    try:
        with torch.inference_mode():
            for first in range(0, len(batches), size):
                poll()
                number = first + rank
                if number >= len(batches) and not lockstep:
                    continue
                numbers = batches[min(number, len(batches) - 1)]
                batch = task.collate(table, numbers, limits.padding, FIXED)
                batch = {k: v.to(where, non_blocking=True) for k, v in batch.items()}
                values, loss = task.predict(model, batch)
                if number < len(batches):
                    losses[number] = loss
                    for row, value in zip(numbers.tolist(), values, strict=True):
                        outputs[row] = value
    finally:
        model.train(was_training)
    return outputs, losses


def better(score: float, than: float | None, metric: str) -> bool:
    """Whether a score beats the best one so far."""
    if than is None:
        return True
    return score < than if metric in MINIMIZED else score > than
