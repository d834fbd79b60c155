"""Train: encoded rows and a model become a fine-tuned model, through checkpoints in the store."""

from __future__ import annotations

from job.checkpoint.catalog import TrainerState
from job.stages.train.checkpointing import newest_checkpoint
from job.stages.train.context import TrainContext, TrainOutput, Workspace
from job.stages.train.export import export
from job.stages.train.loop import TrainLoop

__all__ = ["TrainContext", "TrainOutput", "Workspace", "train"]


def train(context: TrainContext) -> TrainOutput:
    """Train from the newest verified checkpoint, or from the model, to the end.

    Every rank calls it. Where training is over already, no rank waits for another.

    Raises:
        Stopped: the run was told to stop; a checkpoint was committed if the grace period allowed.
        Diverged: a loss or gradient norm is not finite.
        PeerLost: another rank is gone.
    """
    if not context.world.first and context.world.training_ended():
        return export(context, TrainerState())
    restored = newest_checkpoint(context)
    if restored is not None and restored.state.finished:
        return export(context, restored.state, last=restored)
    loop = TrainLoop(context, restored)
    loop.run()
    return loop.finish()
