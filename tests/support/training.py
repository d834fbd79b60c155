"""What the train stage is given in tests: a model's folder, encoded rows, and settings."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer

from job.batching.limits import Limits
from job.batching.padding import Padding
from job.data.artifacts import Dataset
from job.distributed.membership import Membership
from job.distributed.world import World
from job.models import Place
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages.train import TrainContext, Workspace
from job.stages.train.history import merged_history
from job.store import open_store
from job.tasks.base import Task


def context_of(
    settings: Settings,
    task: Task,
    model: Path,
    dataset: Path,
    scratch: Path,
    *,
    run: str = "r",
    output: str = "",
) -> TrainContext:
    """A run's context in a world of one.

    Args:
        task: fitted.
        model: a folder with a model and its tokenizer.
        dataset: a folder with train.arrow, and validation rows where there are any.
        scratch: the run's own folder is made below it.
        output: the store; by default a folder below `scratch`.
    """
    tokenizer = AutoTokenizer.from_pretrained(model)
    store = open_store(output or str(scratch / "store"))
    return TrainContext(
        settings=settings,
        task=task,
        place=Place(str(model), model, ""),
        tokenizer=tokenizer,
        dataset=Dataset("fingerprint", dataset),
        limits=Limits(settings.train.tokens_per_device, Padding(int(tokenizer.pad_token_id))),
        workspace=Workspace(store, f"m/runs/{run}", 1, scratch / run, on_commit=lambda step: None),
        stop=StopSignal(30),
        world=World(settings.runtime, Membership()),
    )


def losses(context: TrainContext) -> list[float]:
    """The loss of each step of a run, over all attempts."""
    history = merged_history(context.workspace.store, context.workspace.prefix)
    return [line["loss"] for line in history if "loss" in line]
