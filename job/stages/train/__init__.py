"""Train: encoded rows and a model become a fine-tuned model, through checkpoints in the store."""

from __future__ import annotations

from job.checkpoint.catalog import TrainerState
from job.stages.train.checkpointing import newest_checkpoint
from job.stages.train.context import StartingPoint, TrainContext, TrainOutput, Workspace
from job.stages.train.export import export
from job.stages.train.loop import TrainLoop
from job.stages.train.trial import Sample, try_out

__all__ = [
    "Sample",
    "StartingPoint",
    "TrainContext",
    "TrainOutput",
    "Workspace",
    "train",
    "try_out",
]


def train(context: TrainContext) -> TrainOutput:
    """Train from the newest verified checkpoint, or from the model, to the end.

    Every rank calls it. Where training is over already, no rank waits for another.

    Raises:
        Stopped: the run was told to stop; a checkpoint was committed if the grace period allowed.
        Diverged: a loss or gradient norm is not finite.
        PeerLost: another rank is gone.
        SettingsError: the trial batch found what does not fit together.
    """
    if not context.world.first and context.world.training_ended():
        return export(context, TrainerState())
    restored = newest_checkpoint(context)
    if restored is not None and restored.state.finished:
        return export(context, restored.state, last=restored)
    if restored is None and context.world.first:
        sample = Sample.of(context.dataset, context.limits.padding)
        try_out(context, sample, context.workspace.scratch)
    loop = TrainLoop(context, restored)
    loop.run()
    return loop.finish()
