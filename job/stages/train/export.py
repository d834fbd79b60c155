"""What training leaves: the best weights, as files in Hugging Face format."""

from __future__ import annotations

from typing import Any

from job import models
from job.checkpoint import catalog, tensors
from job.checkpoint.catalog import Restored, TrainerState
from job.data.arrow import MappedTable
from job.stages.train.context import TrainContext, TrainOutput
from job.stages.train.model import initial_model, merge_adapters
from job.telemetry import event


def export(
    context: TrainContext, state: TrainerState, *, model: Any = None, last: Restored | None = None
) -> TrainOutput:
    """Save the best weights, with adapters merged into them or the adapters alone.

    Only the first rank writes anything.

    Args:
        model: as it is after the last step; None where it is not whole in this process, and every
            weight comes from a checkpoint.
        last: the last checkpoint, where it is on this disk.
    """
    settings, metric = context.settings, context.metric
    epochs = state.step / context.plan(MappedTable(context.dataset.table("train"))).per_epoch
    folder = context.workspace.scratch / "model"
    if not context.world.first:
        return TrainOutput(folder, state, epochs, metric)
    model = _best(context, state, model, last)
    context.task.configure(model.config)
    if not settings.publish.merge:
        models.save_adapter(model, context.tokenizer, context.place, settings.model, folder)
        return TrainOutput(folder, state, epochs, metric, context.place.weights)
    models.save(merge_adapters(model), context.tokenizer, folder)
    return TrainOutput(folder, state, epochs, metric)


def _best(context: TrainContext, state: TrainerState, model: Any, last: Restored | None) -> Any:
    """The model with the weights of the best step, or of the last one where none was evaluated."""
    workspace = context.workspace
    best_step = state.step if state.best_step is None else state.best_step
    if model is not None and best_step == state.step:
        return model
    if model is None:
        model = initial_model(context)
    if last is None or last.state.step != best_step:
        folder = workspace.scratch / "best"
        last = catalog.restore(workspace.store, workspace.checkpoints, best_step, folder)
    tensors.load_model(model, last)
    event("best checkpoint taken", step=best_step, score=state.best_score)
    return model
