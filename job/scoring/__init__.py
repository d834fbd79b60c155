"""A model's outputs over held-out rows, and the scores that follow from them.

Training selects its best checkpoint with it and the evaluate stage makes the final scores, so both
mean the same.
"""

from __future__ import annotations

import math

import numpy as np

from job.distributed.world import World
from job.errors import Diverged
from job.scoring.held_out import HeldOut
from job.scoring.inference import Inference, InferenceOutput
from job.settings.metrics import MINIMIZED
from job.tasks.types import FIXED, Scored

Metrics = dict[str, float]
"""By name without prefix, `loss` among them."""


def score(inference: Inference, held_out: HeldOut) -> tuple[Scored, Metrics]:
    """Run the model over the rows.

    Returns:
        The outputs, and the metrics that follow from them.

    Raises:
        Diverged: the loss is not a finite number.
    """
    return scored(inference, held_out, inference.run(held_out.encoded))


def score_together(
    inference: Inference, held_out: HeldOut, world: World, *, lockstep: bool = False
) -> Metrics:
    """The metrics of `score`, the micro-batches shared by the ranks; the same on every rank.

    Args:
        lockstep: see `Inference.run`.

    Raises:
        Diverged: the loss is not a finite number.
    """
    share = inference.run(held_out.encoded, world, lockstep=lockstep)
    shares = [share]
    if world.size > 1:
        shares = [InferenceOutput.decode(each) for each in world.gather_bytes(share.encode())]
    metrics: Metrics | None = None
    if world.first:
        _, metrics = scored(inference, held_out, InferenceOutput.merged(shares))
    agreed: Metrics = world.agreed(metrics)
    return agreed


def scored(
    inference: Inference, held_out: HeldOut, output: InferenceOutput
) -> tuple[Scored, Metrics]:
    """The metrics that follow from a model's outputs over the rows.

    Raises:
        Diverged: the loss is not a finite number.
    """
    table, task = held_out.encoded, inference.task
    weights = task.row_weights(table, np.arange(len(table)), FIXED)
    loss = output.loss() / (float(weights.sum(dtype=np.float64)) or 1.0)
    if not math.isfinite(loss):
        raise Diverged(f"the loss over {len(table)} held-out rows is {loss}")
    outputs = Scored(output.outputs, table, held_out.rows, inference.tokenizer)
    return outputs, {**task.metrics(outputs), "loss": loss}


def better(score: float, than: float | None, metric: str) -> bool:
    """Whether a score beats the best one so far."""
    if than is None:
        return True
    return score < than if metric in MINIMIZED else score > than
