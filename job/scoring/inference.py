"""A model's outputs over encoded rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from job.batching.limits import Limits
from job.batching.steps import evaluation_batches
from job.data.arrow import MappedTable
from job.distributed.world import World
from job.runtime.stop import poll
from job.tasks.base import Task
from job.tasks.values import FIXED, Outputs

if TYPE_CHECKING:
    from torch import device


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


def outputs_of(
    model: Any,
    task: Task,
    table: MappedTable,
    limits: Limits,
    where: device,
    *,
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
