"""Training: the same steps as a plain loop, resumed exactly, stopped cleanly, ended early."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from job.batching.limits import Limits
from job.batching.padding import Padding
from job.checkpoint import catalog
from job.data.arrow import MappedTable
from job.demo import tickets
from job.errors import Diverged, SettingsError, Stopped
from job.models import Place
from job.runtime.stop import StopSignal
from job.settings import Checkpoint, Evaluate, Lora, Model, Runtime, Train
from job.stages.train import TrainContext, train
from job.stages.train.export import export
from job.stages.train.history import merged_history
from job.stages.train.optimizer import learning_rate
from job.store import layout
from job.store.commit import verify, withdraw
from job.tasks.text_classification import TextClassification
from job.tasks.types import FIXED
from tests.support.samples import cleaned, encoded, settings_of, tiny_bert
from tests.support.training import context_of

MAX_LENGTH = 32


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_bert(tmp_path_factory.mktemp("bert"), [text for text, _ in tickets(300)])
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def dataset(
    bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TextClassification, Path]:
    folder = tmp_path_factory.mktemp("dataset")
    names = sorted({label for _, label in tickets(300)})
    task = TextClassification.create(settings_of())
    task = task.fitted({"label": names}, {"train": dict.fromkeys(names, 80)}, ())
    tokenizer = AutoTokenizer.from_pretrained(bert)
    for split, rows in (("train", tickets(240)), ("validation", tickets(300)[240:])):
        columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
        encoded(task.features(columns, tokenizer, MAX_LENGTH), folder / f"{split}.arrow")
        cleaned(columns, folder / f"{split}.rows.arrow")
    return task, folder


@pytest.fixture
def context(
    bert: Path, dataset: tuple[TextClassification, Path], tmp_path: Path
) -> Callable[..., TrainContext]:
    task, data = dataset

    def make(name: str = "run", stop: StopSignal | None = None, **sections: Any) -> TrainContext:
        defaults = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3}
        settings = settings_of(
            train=Train(**{**defaults, **sections.pop("train", {})}),
            model=Model(name=str(bert), **sections.pop("model", {})),
            checkpoint=Checkpoint(**sections.pop("checkpoint", {})),
            evaluate=Evaluate(**sections.pop("evaluate", {})),
            runtime=Runtime(device="cpu"),
            seed=sections.pop("seed", 3),
        )
        smoothed = replace(task, label_smoothing=settings.train.label_smoothing)
        made = context_of(settings, smoothed, bert, data, tmp_path, run=name)
        return replace(made, stop=stop) if stop else made

    return make


@pytest.fixture(autouse=True)
def fresh_accelerate() -> None:
    """A process trains once; accelerate keeps its state for good."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def losses(context: TrainContext) -> list[float]:
    history = merged_history(context.workspace.store, context.workspace.prefix)
    return [line["loss"] for line in history if "loss" in line]


def test_a_step_is_the_gradient_of_the_mean_over_its_rows(
    context: Callable[..., TrainContext], bert: Path
) -> None:
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


def test_a_resumed_run_ends_with_the_same_bits(context: Callable[..., TrainContext]) -> None:
    whole = context("whole", checkpoint={"every_steps": 7})
    expected = train(whole)
    # an interrupted run: everything after step 21 is lost, as a kill between two commits loses it
    broken = context("broken", checkpoint={"every_steps": 7, "keep": 9})
    train(broken)
    store, prefix = broken.workspace.store, broken.workspace.checkpoints
    for step in catalog.steps(store, prefix):
        if step > 21:
            withdraw(store, layout.checkpoint(prefix, step))
    resumed = replace(
        broken,
        workspace=replace(broken.workspace, attempt=2, scratch=broken.workspace.scratch / "2"),
    )
    got = train(resumed)
    for name, tensor in weights(expected.folder).items():
        assert torch.equal(tensor, weights(got.folder)[name]), name
    assert losses(resumed) == losses(whole)
    assert got.state.loss_sum == pytest.approx(expected.state.loss_sum, rel=1e-12)


def test_a_torn_checkpoint_is_passed_over(
    context: Callable[..., TrainContext], tmp_path: Path
) -> None:
    made = context("torn", checkpoint={"every_steps": 10, "keep": 9})
    train(made)
    store, prefix = made.workspace.store, made.workspace.checkpoints
    last = catalog.steps(store, prefix)[-1]
    files = list(
        (tmp_path / "store" / layout.checkpoint(prefix, last)).rglob("rank-00000.safetensors")
    )
    files[0].write_bytes(files[0].read_bytes()[:-1])
    listed = catalog.steps(store, prefix)
    newest = catalog.newest(store, prefix, tmp_path / "restored")
    assert newest is not None
    assert newest.state.step == listed[-2] < last
    assert catalog.steps(store, prefix) == listed, "a reader never deletes"
    # it does not count for what is kept, and while too few are whole nothing is removed
    catalog.prune(store, prefix, keep=len(listed), best_step=None)
    assert catalog.steps(store, prefix) == listed
    catalog.prune(store, prefix, keep=1, best_step=listed[0])
    assert catalog.steps(store, prefix) == [listed[0], listed[-2], last]


def test_a_torn_checkpoint_is_replaced_when_its_step_is_reached_again(
    context: Callable[..., TrainContext], tmp_path: Path
) -> None:
    made = context("again", checkpoint={"every_steps": 10, "keep": 9})
    expected = train(made)
    store, prefix = made.workspace.store, made.workspace.checkpoints
    for step in catalog.steps(store, prefix)[1:]:
        folder = tmp_path / "store" / layout.checkpoint(prefix, step)
        for file in folder.rglob("rank-00000.safetensors"):
            file.write_bytes(file.read_bytes()[:-1])
    workspace = replace(made.workspace, attempt=2, scratch=made.workspace.scratch / "2")
    got = train(replace(made, workspace=workspace))
    for name, tensor in weights(expected.folder).items():
        assert torch.equal(tensor, weights(got.folder)[name]), name
    for step in catalog.steps(store, prefix):
        verify(store, layout.checkpoint(prefix, step), deep=True)


def test_a_lost_best_checkpoint_is_said_and_the_newest_is_taken(
    context: Callable[..., TrainContext], caplog: pytest.LogCaptureFixture
) -> None:
    made = context("best", checkpoint={"every_steps": 10, "keep": 9})
    last = train(made).state
    lost = replace(last, best_step=10, best_score=0.5)
    withdraw(made.workspace.store, layout.checkpoint(made.workspace.checkpoints, 10))
    with caplog.at_level("WARNING"):
        got = export(made, lost)
    assert "the best checkpoint is lost" in caplog.text
    assert (got.state.best_step, got.state.best_score) == (last.step, None)


def test_only_the_newest_and_the_best_checkpoints_are_kept(
    context: Callable[..., TrainContext],
) -> None:
    made = context("kept", checkpoint={"every_steps": 3, "keep": 2}, evaluate={"metric": "loss"})
    state = train(made).state
    kept = catalog.steps(made.workspace.store, made.workspace.checkpoints)
    assert kept[-2:] == [27, 30]
    assert set(kept) <= {state.best_step, 27, 30}


def test_a_stop_commits_and_raises(context: Callable[..., TrainContext]) -> None:
    stop = StopSignal(30)
    made = context("stopped", stop, checkpoint={"every_steps": 5})

    def stop_at(step: int) -> None:
        if step == 5 and not stop.raised:
            stop._handle(15, None)

    made = replace(made, workspace=replace(made.workspace, on_commit=stop_at))
    with pytest.raises(Stopped) as caught:
        train(made)
    assert caught.value.exit_code == 143
    last = catalog.steps(made.workspace.store, made.workspace.checkpoints)[-1]
    assert f"at step {last} of" in str(caught.value)
    assert last >= 5


def test_a_stop_during_an_evaluation_leaves_it_to_the_next_attempt(
    context: Callable[..., TrainContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = context("uncut")
    expected = train(whole)
    stop = StopSignal(30)
    cut = context("cut", stop)
    original = type(cut.task).collate

    def collate(task: Any, table: Any, rows: Any, pad: Any, epoch: int) -> Any:
        if len(table) == 60:  # the validation rows
            stop._since = 0.0 if stop._since is None else stop._since
        return original(task, table, rows, pad, epoch)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(type(cut.task), "collate", collate)
        patch.setattr(StopSignal, "seconds_left", 30.0)
        train(replace(cut, limits=Limits(64, Padding(0))))
    assert catalog.steps(cut.workspace.store, cut.workspace.checkpoints) == [15]
    workspace = replace(cut.workspace, attempt=2, scratch=cut.workspace.scratch / "2")
    got = train(replace(cut, workspace=workspace, stop=StopSignal(30)))
    assert got.state.best_step == expected.state.best_step
    assert (got.state.evaluated, got.state.finished) == (30, True)


def test_patience_ends_training_early(context: Callable[..., TrainContext]) -> None:
    made = context(
        "patience", train={"epochs": 50, "patience": 2, "learning_rate": 1e-6, "warmup": 0}
    )
    state = train(made).state
    assert state.step < 50 * 15
    assert state.stale == 2


def test_max_runtime_ends_well(context: Callable[..., TrainContext]) -> None:
    state = train(context("runtime", train={"epochs": 1000, "max_runtime": 0.5})).state
    assert state.finished
    assert state.step < 15_000


def test_a_loss_that_is_not_finite_ends_with_80(context: Callable[..., TrainContext]) -> None:
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


def test_fp16_on_a_cpu_is_refused(context: Callable[..., TrainContext]) -> None:
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
    name: str, sections: dict[str, Any], context: Callable[..., TrainContext]
) -> None:
    made = context(name, **{**sections, "train": {"epochs": 8, **sections.get("train", {})}})
    trained = train(made)
    first, last = np.mean(losses(made)[:5]), np.mean(losses(made)[-5:])
    assert last < 0.7 * first
    loaded = AutoModelForSequenceClassification.from_pretrained(trained.folder)
    assert not [key for key in loaded.state_dict() if "lora" in key]
    assert loaded.dtype == torch.float32
    assert loaded.config.id2label[0] == "billing"


def test_only_adapters_are_trained_and_checkpointed_with_lora(
    context: Callable[..., TrainContext],
) -> None:
    made = context("adapters", model={"lora": Lora(r=4)}, train={"max_steps": 2})
    train(made)
    found = catalog.newest(
        made.workspace.store, made.workspace.checkpoints, made.workspace.scratch / "look"
    )
    assert found is not None
    assert all(
        "lora" in name or "classifier" in name
        for name in found.names()
        if name.startswith("model/")
    )


def test_the_learning_rate_warms_up_and_falls() -> None:
    train = Train(learning_rate=1.0, warmup=4)
    rates = [learning_rate(train, step, 14) for step in range(14)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:] == pytest.approx([1 - i / 10 for i in range(10)])
    half = train.model_copy(update={"schedule": "cosine"})
    assert learning_rate(half, 9, 14) == pytest.approx(0.5)
    assert learning_rate(train.model_copy(update={"schedule": "constant"}), 13, 14) == 1.0
