"""A model's outputs over a table of encoded rows, and the scores that follow from them.

Training selects its best checkpoint with it and the evaluate stage makes the final scores, so both
mean the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from job.batching.limits import Limits
from job.distributed.world import World
from job.errors import Diverged
from job.scoring.held_out import HeldOut
from job.scoring.inference import Losses, _together, outputs_of
from job.settings.metrics import MINIMIZED
from job.tasks.base import Task
from job.tasks.values import FIXED, Outputs, Scored

if TYPE_CHECKING:
    from torch import device
    from transformers import PreTrainedTokenizerFast


def score(
    model: Any,
    task: Task,
    held_out: HeldOut,
    tokenizer: PreTrainedTokenizerFast,
    limits: Limits,
    where: device,
) -> tuple[Scored, dict[str, float]]:
    """Run the model over the rows, longest first, in evaluation mode.

    The training mode of the model is restored.

    Returns:
        The outputs, and the metrics without prefix, `loss` among them.

    Raises:
        Diverged: the loss is not a finite number.
    """
    outputs = outputs_of(model, task, held_out.encoded, limits, where)
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
    lockstep: bool = False,
) -> dict[str, float]:
    """The metrics of `score`, the micro-batches dealt out to the ranks; the same on every rank.

    Args:
        lockstep: every rank runs the model equally often, over rows that do not count if it must,
            as a model needs that is dealt out itself.
    """
    found = outputs_of(model, task, held_out.encoded, limits, where, deal=(world, lockstep))
    parts = world.gather(found) if world.size > 1 else [found]
    metrics: dict[str, float] | None = None
    if world.first:
        _, metrics = scored_of(task, held_out, tokenizer, *_together(parts))
    agreed: dict[str, float] = world.agreed(metrics)
    return agreed


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


def better(score: float, than: float | None, metric: str) -> bool:
    """Whether a score beats the best one so far."""
    if than is None:
        return True
    return score < than if metric in MINIMIZED else score > than
