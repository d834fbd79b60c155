"""A classifier of tickets to train: its model, its rows, and the context of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from job.demo import tickets
from job.runtime.stop import StopSignal
from job.settings import Checkpoint, Evaluate, Model, Runtime, Train
from job.stages.train import TrainContext
from job.tasks.text_classification import TextClassification
from tests.support.samples import cleaned, encoded, settings_of, tiny_bert
from tests.support.training import context_of

MakeContext = Callable[..., TrainContext]

MAX_LENGTH = 32


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_bert(tmp_path_factory.mktemp("bert"), [text for text, _ in tickets(300)])
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
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
def fresh_accelerate() -> None:
    """A process trains once; accelerate keeps its state for good."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def context(
    bert: Path,
    dataset: tuple[TextClassification, Path],
    tmp_path: Path,
    fresh_accelerate: None,
) -> MakeContext:
    """The context of a run of a name, with what its sections are given."""
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
