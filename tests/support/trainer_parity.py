"""The train stage beside transformers' own Trainer: the same weights, batches and learning rates."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from job import models
from job.data.arrow import MappedTable
from job.runtime.device import seed_everything
from job.settings import Checkpoint, Model, Runtime, Train
from job.settings.tree import Log
from job.stages.train import TrainContext, train
from job.stages.train.history import merged_history
from job.stages.train.plan import Plan
from job.tasks.base import Task
from job.tasks.types import Batch
from tests.support.samples import settings_of
from tests.support.training import context_of

STEPS, SEED = 20, 7
TRAIN = Train(max_steps=STEPS, batch_size=8, learning_rate=1e-3, tokens_per_device=100_000)


def losses_of_both(
    task: Task, dataset: Path, model: Path, scratch: Path, *, as_theirs: Callable[[Batch], Batch]
) -> tuple[list[float], list[float]]:
    """The losses of 20 steps: ours, and Trainer's with the loss of transformers' own head.

    Args:
        task: fitted.
        dataset: a folder with train.arrow.
        model: a folder with a model and its tokenizer; dropout is turned off.
        scratch: an empty folder.
        as_theirs: what our micro-batch is called by the model's own forward.
    """
    _reset()
    model = _without_dropout(model, scratch / "plain")
    settings = settings_of(
        train=TRAIN,
        model=Model(name=str(model)),
        checkpoint=Checkpoint(every_seconds=1e9),
        runtime=Runtime(device="cpu"),
        log=Log(level="error"),
        seed=SEED,
    )
    context = context_of(settings, task, model, dataset, scratch)
    train(context)
    history = merged_history(context.workspace.store, context.workspace.prefix)
    ours = [line["loss"] for line in history if "loss" in line]
    theirs = _trainers(context, as_theirs)
    apart = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(ours, theirs, strict=True))
    print(
        f"{task.name}: {len(ours)} losses from {ours[0]:.3f} to {ours[-1]:.3f}, at most {apart:.1e} apart"
    )
    return ours, theirs


def _without_dropout(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        name: 0.0
        for name in config
        if name.endswith(("dropout", "dropout_prob", "pdrop", "layerdrop", "dropout_rate"))
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _trainers(context: TrainContext, as_theirs: Callable[[Batch], Batch]) -> list[float]:
    """Trainer over our plan's batches, with AdamW and clipping of its own."""
    from transformers import Trainer, TrainingArguments

    _reset()
    table = MappedTable(context.dataset.table("train"))
    lengths = table.column("length").astype(np.int64)
    plan = Plan(lengths, partial(context.task.row_weights, table), TRAIN, SEED)
    found: list[float] = []

    class Batches(torch.utils.data.IterableDataset[Batch]):
        def __iter__(self) -> Iterator[Batch]:
            for step in range(STEPS):
                rows = np.sort(plan.rows(step))
                batch = context.task.collate(table, rows, context.limits.padding, plan.epoch(step))
                yield as_theirs(batch)

    class Recorded(Trainer):  # type: ignore[misc]  # transformers is typed in part
        def get_train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(Batches(), batch_size=None)

        def training_step(self, *arguments: Any, **named: Any) -> Any:
            loss = super().training_step(*arguments, **named)
            found.append(float(loss))
            return loss

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            def rate(step: int) -> float:
                return plan.learning_rate(min(step, STEPS - 1)) / TRAIN.learning_rate

            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
            return self.lr_scheduler

    seed_everything(SEED)
    arguments = TrainingArguments(
        output_dir=str(context.workspace.scratch / "trainer"),
        max_steps=STEPS,
        learning_rate=TRAIN.learning_rate,
        weight_decay=TRAIN.weight_decay,
        max_grad_norm=TRAIN.max_grad_norm,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=SEED,
    )
    model = models.load(context.place, context.task, context.settings.model)
    Recorded(model, arguments).train()
    _reset()
    return found


def _reset() -> None:
    """A process trains once; accelerate keeps its state for good."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
