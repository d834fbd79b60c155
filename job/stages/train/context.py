"""What training starts from, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from job.batching.limits import Limits
from job.checkpoint.catalog import TrainerState
from job.data.arrow import MappedTable
from job.data.artifacts import Dataset
from job.distributed.world import World
from job.models import Place
from job.runtime.stop import StopSignal
from job.settings.metrics import plain
from job.settings.protocols import (
    HasCheckpoint,
    HasEvaluate,
    HasLog,
    HasModel,
    HasPublish,
    HasRuntime,
    HasSeed,
    HasTrain,
)
from job.stages.train.plan import Plan
from job.store import Store, layout
from job.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["StartingPoint", "TrainContext", "TrainOutput", "Workspace"]


class TrainSettings(
    HasTrain,
    HasModel,
    HasCheckpoint,
    HasEvaluate,
    HasPublish,
    HasRuntime,
    HasLog,
    HasSeed,
    Protocol,
):
    """The sections that training reads."""


@dataclass(frozen=True)
class Workspace:
    """Where an attempt at a run keeps what training leaves, in the store and on this disk."""

    store: Store
    prefix: str
    """The run's, such as `model/runs/ab12`."""
    attempt: int
    scratch: Path
    on_commit: Callable[[int], None]
    """Called with every committed step, by a thread."""
    on_shrink: Callable[[int], None] = lambda tokens: None
    """Called with the tokens that a micro-batch may hold from the next attempt on."""

    @property
    def checkpoints(self) -> str:
        """The prefix of the checkpoints."""
        return layout.checkpoints(self.prefix)


class StartSettings(HasModel, HasPublish, HasTrain, HasSeed, Protocol):
    """The sections that making the model ready and saving it read."""


@dataclass(frozen=True)
class StartingPoint:
    """The model that is fine-tuned, and for what."""

    settings: StartSettings
    task: Task
    """Fitted."""
    place: Place
    """Where the model to fine-tune is."""
    tokenizer: PreTrainedTokenizerFast


@dataclass(frozen=True)
class TrainContext(StartingPoint):
    """Everything that training starts from."""

    settings: TrainSettings
    dataset: Dataset
    limits: Limits
    workspace: Workspace
    stop: StopSignal
    world: World

    @property
    def metric(self) -> str:
        """What selects the best checkpoint, without prefix."""
        return plain(self.settings.evaluate.metric or self.task.default_metric)

    def plan(self, table: MappedTable) -> Plan:
        """The run's steps.

        Args:
            table: the encoded training rows.
        """
        return Plan(
            self.limits.lengths(table),
            partial(self.task.row_weights, table),
            self.settings.train,
            self.settings.seed,
            self.limits.padding.multiple,
        )


@dataclass(frozen=True)
class TrainOutput:
    """The fine-tuned model on this disk, in Hugging Face format, and how it came about."""

    folder: Path
    """Only the first rank writes it."""
    state: TrainerState
    epochs: float
    metric: str
    """What selected the best checkpoint."""
    base: Path | None = None
    """The folder of the model that `folder` holds adapters for."""

    @property
    def place(self) -> Place:
        """Where to load it from."""
        return Place(str(self.folder), self.folder, "", base=self.base)
