"""What training leaves: the best weights, as files in Hugging Face format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from job import models
from job.checkpoint import catalog, tensors
from job.checkpoint.catalog import Restored, TrainerState
from job.data.arrow import MappedTable
from job.errors import Absent, Torn
from job.models import Place
from job.stages.train.context import StartingPoint, TrainContext, TrainOutput
from job.stages.train.model import initial_model, merge_adapters
from job.telemetry import event, warn


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
    metric = context.metric
    epochs = state.step / context.plan(MappedTable(context.dataset.table("train"))).per_epoch
    folder = context.workspace.scratch / "model"
    if not context.world.first:
        return TrainOutput(folder, state, epochs, metric)
    state, model = _best(context, state, model, last)
    return TrainOutput(folder, state, epochs, metric, write(context, model, folder).base)


def write(start: StartingPoint, model: Any, folder: Path) -> Place:
    """Save a model as it is published, and say where it is to be loaded from."""
    settings, place = start.settings, start.place
    start.task.configure(model.config)
    if settings.publish.merge:
        models.save(merge_adapters(model), start.tokenizer, folder)
        return Place(str(folder), folder, "")
    models.save_adapter(model, start.tokenizer, place, settings.model, folder)
    return Place(str(folder), folder, "", base=place.weights)


def _best(
    context: TrainContext, state: TrainerState, model: Any, last: Restored | None
) -> tuple[TrainerState, Any]:
    """The model with the weights of the best step, or of the last one where none was evaluated; and
    the state that says so, where the best step's checkpoint is lost."""
    best_step = state.step if state.best_step is None else state.best_step
    if model is not None and best_step == state.step:
        return state, model
    if last is None or last.state.step != best_step:
        try:
            last = _restored(context, best_step)
        except (Torn, Absent) as error:
            state, last = _without_best(context, state, error)
            if model is not None and last.state.step == state.step:
                return state, model
    if model is None:
        model = initial_model(context)
    tensors.load_model(model, last)
    event("best checkpoint taken", step=last.state.step, score=state.best_score)
    return state, model


def _restored(context: TrainContext, step: int) -> Restored:
    workspace = context.workspace
    folder = workspace.scratch / "best"
    return catalog.restore(workspace.store, workspace.checkpoints, step, folder)


def _without_best(
    context: TrainContext, state: TrainerState, error: Torn | Absent
) -> tuple[TrainerState, Restored]:
    """The newest whole checkpoint in place of the best one, which is lost.

    Raises:
        Torn, Absent: no checkpoint is whole.
    """
    workspace = context.workspace
    newest = catalog.newest(workspace.store, workspace.checkpoints, workspace.scratch / "best")
    if newest is None:
        raise error
    warn(
        "the best checkpoint is lost; the newest whole one is taken",
        lost_step=state.best_step,
        lost_score=state.best_score,
        step=newest.state.step,
        reason=error.message,
    )
    return replace(state, best_step=newest.state.step, best_score=None), newest
