"""What training leaves: the best weights, as files in Hugging Face format."""

from __future__ import annotations

from typing import Any

from job import models
from job.checkpoint import catalog as checkpoint
from job.checkpoint import tensors
from job.checkpoint.catalog import Restored, TrainerState
from job.data.arrow import MappedTable
from job.runtime.device import seed_everything
from job.stages.train.context import Given, Trained
from job.stages.train.model import adapted, merged
from job.telemetry import event


def saved(
    given: Given, state: TrainerState, *, model: Any = None, last: Restored | None = None
) -> Trained:
    """Save the best weights, adapters merged or alone; the first rank does, the others have nothing.

    Args:
        model: as it is after the last step; None where it is not whole in this process, and every
            weight comes from a checkpoint.
        last: the last checkpoint, where it is on this disk.
    """
    settings, home, metric = given.settings, given.home, given.metric
    epochs = state.step / given.plan(MappedTable(given.dataset.table("train"))).per_epoch
    folder = home.scratch / "model"
    if not given.world.first:
        return Trained(folder, state, epochs, metric)
    step = state.step if state.best_step is None else state.best_step
    if model is None or step != state.step:
        if model is None:
            seed_everything(settings.seed)
            model = models.load(given.place, given.task, settings.model)
            model = adapted(model, given.tokenizer, given.task, settings.model)
        found = last if last and last.state.step == step else None
        found = found or checkpoint.restore(
            home.store, home.checkpoints, step, home.scratch / "best"
        )
        tensors.load_model(model, found)
        event("best checkpoint taken", step=step, score=state.best_score)
    given.task.configure(model.config)
    if not settings.merge:
        models.save_adapter(model, given.tokenizer, given.place, settings.model, folder)
        return Trained(folder, state, epochs, metric, given.place.weights)
    models.save(merged(model), given.tokenizer, folder)
    return Trained(folder, state, epochs, metric)
