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
from job.checkpoint import catalog as checkpoint
from job.data.arrow import MappedTable
from job.data.artifacts import Dataset
from job.demo import tickets
from job.errors import Diverged, SettingsError, Stopped
from job.models import Place
from job.runtime.stop import StopSignal
from job.settings import Checkpoint, Evaluate, Lora, Model, Runtime, Train
from job.settings.tree import Log
from job.stages.train import Given, Home, TrainSettings, train
from job.stages.train.optimizer import learning_rate
from job.store import open_store
from job.store.commit import withdraw
from job.tasks.text_classification import TextClassification
from job.tasks.values import FIXED
from tests.support.samples import cleaned, encoded, settings_of, tiny_bert

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
) -> tuple[TextClassification, Dataset]:
    folder = tmp_path_factory.mktemp("dataset")
    names = sorted({label for _, label in tickets(300)})
    task = TextClassification.create(settings_of())
    task = task.fitted({"label": names}, {"train": dict.fromkeys(names, 80)}, ())
    tokenizer = AutoTokenizer.from_pretrained(bert)
    for split, rows in (("train", tickets(240)), ("validation", tickets(300)[240:])):
        columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
        encoded(task.features(columns, tokenizer, MAX_LENGTH), folder / f"{split}.arrow")
        cleaned(columns, folder / f"{split}.rows.arrow")
    return task, Dataset("fingerprint", folder)


@pytest.fixture
def given(
    bert: Path, dataset: tuple[TextClassification, Dataset], tmp_path: Path
) -> Callable[..., Given]:
    task, data = dataset

    def make(name: str = "run", stop: StopSignal | None = None, **sections: Any) -> Given:
        defaults = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3}
        settings = TrainSettings(
            train=Train(**{**defaults, **sections.pop("train", {})}),
            model=Model(name=str(bert), **sections.pop("model", {})),
            checkpoint=Checkpoint(**sections.pop("checkpoint", {})),
            evaluate=Evaluate(**sections.pop("evaluate", {})),
            runtime=Runtime(device="cpu"),
            log=Log(),
            seed=sections.pop("seed", 3),
        )
        tokens = settings.train.tokens_per_device
        return Given(
            settings=settings,
            task=replace(task, label_smoothing=settings.train.label_smoothing),
            place=Place(str(bert), bert, ""),
            tokenizer=AutoTokenizer.from_pretrained(bert),
            dataset=data,
            limits=Limits(tokens, Padding(0)),
            home=Home(
                open_store(str(tmp_path / "store")),
                f"m/runs/{name}",
                1,
                tmp_path / name,
                lambda step: None,
            ),
            stop=stop or StopSignal(30),
        )

    return make


@pytest.fixture(autouse=True)
def fresh_accelerate() -> None:
    """A process trains once; accelerate keeps its state for good."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def losses(given: Given) -> list[float]:
    from job.stages.train.history import merged

    return [line["loss"] for line in merged(given.home.store, given.home.prefix) if "loss" in line]


def test_a_step_is_the_gradient_of_the_mean_over_its_rows(
    given: Callable[..., Given], bert: Path
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
        made = given(
            f"t{tokens}", train={"max_steps": 20, "tokens_per_device": tokens, "max_grad_norm": 0}
        )
        made = replace(made, place=Place(str(no_dropout), no_dropout, ""))
        train(made)
        return losses(made)

    whole, small = ours(16384), ours(64)
    assert whole == pytest.approx(small, rel=1e-4)
    assert whole == pytest.approx(
        _plain_loop(given("plain", train={"max_steps": 20}), no_dropout), rel=1e-5
    )


def _plain_loop(given: Given, folder: Path) -> list[float]:
    from job.runtime.device import seed_everything
    from job.stages.train.plan import Plan

    table = MappedTable(given.dataset.table("train"))
    lengths = table.column("length").astype(np.int64)
    plan = Plan(
        lengths, partial(given.task.row_weights, table), given.settings.train, given.settings.seed
    )
    seed_everything(given.settings.seed)
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
        batch = given.task.collate(table, plan.rows(step), Padding(0), FIXED)
        batch.pop("weights")
        loss = model(**batch).loss
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate(step)
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    return found


def test_a_resumed_run_ends_with_the_same_bits(given: Callable[..., Given]) -> None:
    whole = given("whole", checkpoint={"every_steps": 7})
    expected = train(whole)
    # an interrupted run: everything after step 21 is lost, as a kill between two commits loses it
    broken = given("broken", checkpoint={"every_steps": 7, "keep": 9})
    train(replace(broken, settings=replace(broken.settings)))
    store, prefix = broken.home.store, broken.home.checkpoints
    for step in checkpoint.steps(store, prefix):
        if step > 21:
            withdraw(store, checkpoint.key_of(prefix, step))
    resumed = replace(
        broken, home=replace(broken.home, attempt=2, scratch=broken.home.scratch / "2")
    )
    got = train(resumed)
    for name, tensor in weights(expected.folder).items():
        assert torch.equal(tensor, weights(got.folder)[name]), name
    assert losses(resumed) == losses(whole)
    assert got.state.loss_sum == pytest.approx(expected.state.loss_sum, rel=1e-12)


def test_a_torn_checkpoint_is_passed_over(given: Callable[..., Given], tmp_path: Path) -> None:
    made = given("torn", checkpoint={"every_steps": 10, "keep": 9})
    train(made)
    store, prefix = made.home.store, made.home.checkpoints
    last = checkpoint.steps(store, prefix)[-1]
    files = list(
        (tmp_path / "store" / checkpoint.key_of(prefix, last)).rglob("rank-00000.safetensors")
    )
    files[0].write_bytes(files[0].read_bytes()[:-1])
    found = checkpoint.newest(store, prefix, tmp_path / "restored")
    assert found is not None
    assert found.state.step == checkpoint.steps(store, prefix)[-1] < last


def test_only_the_newest_and_the_best_checkpoints_are_kept(given: Callable[..., Given]) -> None:
    made = given("kept", checkpoint={"every_steps": 3, "keep": 2}, evaluate={"metric": "loss"})
    state = train(made).state
    kept = checkpoint.steps(made.home.store, made.home.checkpoints)
    assert kept[-2:] == [27, 30]
    assert set(kept) <= {state.best_step, 27, 30}


def test_a_stop_commits_and_raises(given: Callable[..., Given]) -> None:
    stop = StopSignal(30)
    made = given("stopped", stop)

    def stop_at(step: int) -> None:
        if step == 5 and not stop.raised:
            stop._handle(15, None)

    made = replace(
        made,
        settings=replace(made.settings, checkpoint=Checkpoint(every_steps=5)),
        home=replace(made.home, committed=stop_at),
    )
    with pytest.raises(Stopped) as caught:
        train(made)
    assert caught.value.exit_code == 143
    last = checkpoint.steps(made.home.store, made.home.checkpoints)[-1]
    assert f"at step {last} of" in str(caught.value)
    assert last >= 5


def test_a_stop_during_an_evaluation_leaves_it_to_the_next_attempt(
    given: Callable[..., Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = given("uncut")
    expected = train(whole)
    stop = StopSignal(30)
    cut = given("cut", stop)
    original = type(cut.task).collate

    def collate(task: Any, table: Any, rows: Any, pad: Any, epoch: int) -> Any:
        if len(table) == 60:  # the validation rows
            stop._since = 0.0 if stop._since is None else stop._since
        return original(task, table, rows, pad, epoch)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(type(cut.task), "collate", collate)
        patch.setattr(StopSignal, "seconds_left", 30.0)
        train(replace(cut, limits=Limits(64, Padding(0))))
    assert checkpoint.steps(cut.home.store, cut.home.checkpoints) == [15]
    home = replace(cut.home, attempt=2, scratch=cut.home.scratch / "2")
    got = train(replace(cut, home=home, stop=StopSignal(30)))
    assert got.state.best_step == expected.state.best_step
    assert (got.state.evaluated, got.state.finished) == (30, True)


def test_patience_ends_training_early(given: Callable[..., Given]) -> None:
    made = given(
        "patience", train={"epochs": 50, "patience": 2, "learning_rate": 1e-6, "warmup": 0}
    )
    state = train(made).state
    assert state.step < 50 * 15
    assert state.stale == 2


def test_max_runtime_ends_well(given: Callable[..., Given]) -> None:
    state = train(given("runtime", train={"epochs": 1000, "max_runtime": 0.5})).state
    assert state.finished
    assert state.step < 15_000


def test_a_loss_that_is_not_finite_ends_with_80(given: Callable[..., Given]) -> None:
    with pytest.raises(Diverged) as caught:
        train(
            given(
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


def test_fp16_on_a_cpu_is_refused(given: Callable[..., Given]) -> None:
    with pytest.raises(SettingsError, match="fp16"):
        train(given("half", train={"precision": "fp16"}))


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
    name: str, sections: dict[str, Any], given: Callable[..., Given]
) -> None:
    made = given(name, **{**sections, "train": {"epochs": 8, **sections.get("train", {})}})
    trained = train(made)
    first, last = np.mean(losses(made)[:5]), np.mean(losses(made)[-5:])
    assert last < 0.7 * first
    loaded = AutoModelForSequenceClassification.from_pretrained(trained.folder)
    assert not [key for key in loaded.state_dict() if "lora" in key]
    assert loaded.dtype == torch.float32
    assert loaded.config.id2label[0] == "billing"


def test_only_adapters_are_trained_and_checkpointed_with_lora(given: Callable[..., Given]) -> None:
    made = given("adapters", model={"lora": Lora(r=4)}, train={"max_steps": 2})
    train(made)
    found = checkpoint.newest(made.home.store, made.home.checkpoints, made.home.scratch / "look")
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
