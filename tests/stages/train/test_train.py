"""Training: the same steps as a plain loop, every way of training, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.errors import Diverged, SettingsError
from job.models import Place
from job.settings import Lora, Train
from job.stages.train import TrainContext, train
from job.stages.train.optimizer import learning_rate
from job.tasks.types import FIXED
from tests.stages.train.conftest import MakeContext
from tests.support.training import losses


def test_a_step_is_the_gradient_of_the_mean_over_its_rows(context: MakeContext, bert: Path) -> None:
    """A plain torch loop over the same rows, one micro-batch a step, gives the same losses; so does
    training in many small micro-batches."""
    plain = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    no_dropout = bert.parent / "no-dropout"
    no_dropout.mkdir(exist_ok=True)
    for path in bert.iterdir():
        (no_dropout / path.name).write_bytes(path.read_bytes())
    config = json.loads((bert / "config.json").read_text()) | plain
    (no_dropout / "config.json").write_text(json.dumps(config))

    def ours(tokens: int) -> list[float]:
        made = context(
            f"t{tokens}", train={"max_steps": 20, "tokens_per_device": tokens, "max_grad_norm": 0}
        )
        made = replace(made, place=Place(str(no_dropout), no_dropout, ""))
        train(made)
        return losses(made)

    whole, small = ours(16384), ours(64)
    assert whole == pytest.approx(small, rel=1e-4)
    assert whole == pytest.approx(
        _plain_loop(context("plain", train={"max_steps": 20}), no_dropout), rel=1e-5
    )


def _plain_loop(context: TrainContext, folder: Path) -> list[float]:
    from job.runtime.device import seed_everything
    from job.stages.train.plan import Plan

    table = MappedTable(context.dataset.table("train"))
    lengths = table.column("length").astype(np.int64)
    plan = Plan(
        lengths,
        partial(context.task.row_weights, table),
        context.settings.train,
        context.settings.seed,
    )
    seed_everything(context.settings.seed)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3).train()
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (plain if name.endswith("bias") or "LayerNorm" in name else decayed).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0}]
    )
    found = []
    for step in range(20):
        batch = context.task.collate(table, plan.rows(step), Padding(0), FIXED)
        batch.pop("weights")
        loss = model(**batch).loss
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate(step)
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    return found


def test_patience_ends_training_early(context: MakeContext) -> None:
    made = context(
        "patience", train={"epochs": 50, "patience": 2, "learning_rate": 1e-6, "warmup": 0}
    )
    state = train(made).state
    assert state.step < 50 * 15
    assert state.stale == 2


def test_max_runtime_ends_well(context: MakeContext) -> None:
    state = train(context("runtime", train={"epochs": 1000, "max_runtime": 0.5})).state
    assert state.finished
    assert state.step < 15_000


def test_a_loss_that_is_not_finite_ends_with_80(context: MakeContext) -> None:
    with pytest.raises(Diverged) as caught:
        train(
            context(
                "diverged",
                train={
                    "learning_rate": 1.0,
                    "max_grad_norm": 0,
                    "epochs": 100,
                    "warmup": 0,
                    "weight_decay": 1e30,
                },
            )
        )
    assert caught.value.exit_code == 80


def test_fp16_on_a_cpu_is_refused(context: MakeContext) -> None:
    with pytest.raises(SettingsError, match="fp16"):
        train(context("half", train={"precision": "fp16"}))


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        (
            "lora",
            {
                "model": {"lora": Lora(r=8, alpha=32)},
                "train": {"learning_rate": 2e-2, "epochs": 12},
            },
        ),
        ("recompute", {"model": {"gradient_checkpointing": True}}),
        ("bf16", {"train": {"precision": "bf16"}}),
        ("cosine", {"train": {"schedule": "cosine", "label_smoothing": 0.1}}),
    ],
)
def test_every_way_of_training_learns(
    name: str, sections: dict[str, Any], context: MakeContext
) -> None:
    made = context(name, **{**sections, "train": {"epochs": 8, **sections.get("train", {})}})
    trained = train(made)
    first, last = np.mean(losses(made)[:5]), np.mean(losses(made)[-5:])
    assert last < 0.7 * first
    loaded = AutoModelForSequenceClassification.from_pretrained(trained.folder)
    assert not [key for key in loaded.state_dict() if "lora" in key]
    assert loaded.dtype == torch.float32
    assert loaded.config.id2label[0] == "billing"


def test_the_learning_rate_warms_up_and_falls() -> None:
    train = Train(learning_rate=1.0, warmup=4)
    rates = [learning_rate(train, step, 14) for step in range(14)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:] == pytest.approx([1 - i / 10 for i in range(10)])
    half = train.model_copy(update={"schedule": "cosine"})
    assert learning_rate(half, 9, 14) == pytest.approx(0.5)
    assert learning_rate(train.model_copy(update={"schedule": "constant"}), 13, 14) == 1.0
