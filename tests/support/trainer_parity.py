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
from transformers import AutoTokenizer

from job import models
from job.batching.limits import Limits
from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.data.artifacts import Dataset
from job.models import Place
from job.runtime.device import seed_everything
from job.runtime.stop import StopSignal
from job.settings import Checkpoint, Evaluate, Model, Runtime, Train
from job.settings.tree import Log
from job.stages.train import Given, Home, TrainSettings, train
from job.stages.train.history import merged
from job.stages.train.plan import Plan
from job.store import open_store
from job.tasks.base import Task
from job.tasks.values import Batch

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
    given = _given(task, dataset, _without_dropout(model, scratch / "plain"), scratch)
    train(given)
    ours = [line["loss"] for line in merged(given.home.store, given.home.prefix) if "loss" in line]
    theirs = _trainers(given, as_theirs)
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


def _given(task: Task, dataset: Path, model: Path, scratch: Path) -> Given:
    _reset()
    tokenizer = AutoTokenizer.from_pretrained(model)
    settings = TrainSettings(
        TRAIN,
        Model(name=str(model)),
        Checkpoint(every_seconds=1e9),
        Evaluate(),
        Runtime(device="cpu"),
        Log(level="error"),
        seed=SEED,
    )
    home = Home(open_store(str(scratch / "store")), "m/runs/r", 1, scratch / "r", lambda step: None)
    limits = Limits(TRAIN.tokens_per_device, Padding(int(tokenizer.pad_token_id)))
    place, data = Place(str(model), model, ""), Dataset("d", dataset)
    return Given(settings, task, place, tokenizer, data, limits, home, StopSignal(30))


def _trainers(given: Given, as_theirs: Callable[[Batch], Batch]) -> list[float]:
    """Trainer over our plan's batches, with its own AdamW and clipping."""
    from transformers import Trainer

    _reset()
    table = MappedTable(given.dataset.table("train"))
    lengths = table.column("length").astype(np.int64)
    plan = Plan(lengths, partial(given.task.row_weights, table), TRAIN, SEED)
    losses: list[float] = []

    class Batches(torch.utils.data.IterableDataset[Batch]):
        def __iter__(self) -> Iterator[Batch]:
            for step in range(STEPS):
                rows = np.sort(plan.rows(step))
                batch = given.task.collate(table, rows, given.limits.padding, plan.epoch(step))
                yield as_theirs(batch)

    class Recorded(Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(Batches(), batch_size=None)

        def training_step(self, *arguments: Any, **named: Any) -> Any:
            loss = super().training_step(*arguments, **named)
            losses.append(float(loss))
            return loss

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            rate = lambda step: plan.learning_rate(min(step, STEPS - 1)) / TRAIN.learning_rate  # noqa: E731
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
            return self.lr_scheduler

    seed_everything(SEED)
    model = models.load(given.place, given.task, given.settings.model)
    Recorded(model, _arguments(given.home.scratch / "trainer")).train()
    _reset()
    return losses


def _arguments(folder: Path) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(folder),
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


def _reset() -> None:
    """A process trains once; accelerate keeps its state for good."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
