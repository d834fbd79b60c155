"""What training is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from job.batching.limits import Limits
from job.checkpoint.catalog import TrainerState
from job.data.arrow import MappedTable
from job.data.artifacts import Dataset
from job.distributed.membership import Membership
from job.distributed.world import World
from job.models import Place
from job.runtime.stop import StopSignal
from job.settings import Checkpoint, Evaluate, Model, Runtime, Train
from job.settings.tree import Log
from job.stages.train.plan import Plan
from job.store import Store
from job.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class TrainSettings:
    """The sections that training reads."""

    train: Train
    model: Model
    checkpoint: Checkpoint
    evaluate: Evaluate
    runtime: Runtime
    log: Log
    seed: int
    merge: bool = True
    """Whether adapters are added into the weights that are saved."""


@dataclass(frozen=True)
class Home:
    """Where this attempt keeps what training leaves."""

    store: Store
    prefix: str
    """The run's, such as `model/runs/ab12`."""
    attempt: int
    scratch: Path
    committed: Callable[[int], None]
    """Told every committed step; by a thread."""
    shrunk: Callable[[int], None] = lambda tokens: None
    """Told that micro-batches of more than so many tokens do not fit."""

    @property
    def checkpoints(self) -> str:
        """The prefix of the checkpoints."""
        return f"{self.prefix}/checkpoints"


@dataclass(frozen=True)
class Given:
    """Everything that training starts from."""

    settings: TrainSettings
    task: Task
    place: Place
    tokenizer: PreTrainedTokenizerFast
    dataset: Dataset
    limits: Limits
    home: Home
    stop: StopSignal
    world: World = field(default_factory=lambda: World(Runtime(), Membership()))

    @property
    def metric(self) -> str:
        """What selects the best checkpoint, without prefix."""
        return (self.settings.evaluate.metric or self.task.default_metric).removeprefix("eval_")

    def plan(self, table: MappedTable) -> Plan:
        """The run's steps."""
        return Plan(
            self.limits.lengths(table),
            partial(self.task.row_weights, table),
            self.settings.train,
            self.settings.seed,
            self.limits.padding.multiple,
        )


@dataclass(frozen=True)
class Trained:
    """The fine-tuned model on this disk, in Hugging Face format, and how it came about."""

    folder: Path
    """Only the first rank writes it."""
    state: TrainerState
    epochs: float
    metric: str
    base: Path | None = None
    """The folder of the model that `folder` holds adapters for."""

    @property
    def place(self) -> Place:
        """Where to load it from."""
        return Place(str(self.folder), self.folder, "", base=self.base)
