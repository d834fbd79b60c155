"""Twenty steps beside transformers' own Trainer: classification and language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from job.data.arrow import Writer
from job.demo import tickets
from job.settings import Columns, Data, Model
from job.tasks.base import Task
from job.tasks.fill_mask import FillMask
from job.tasks.text_classification import TextClassification
from job.tasks.text_classification.problems import MULTI, REGRESSION, SINGLE
from job.tasks.text_generation import TextGeneration
from job.tasks.types import Batch
from tests.support.samples import encoded, settings_of, tiny_bert
from tests.support.trainer_parity import losses_of_both

TEXTS = [text for text, _ in tickets(160)]
LENGTH = 32


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"), TEXTS)


@pytest.fixture(scope="module")
def gpt2(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.eos_token = "[SEP]"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2, pad_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def without_weights(batch: Batch) -> Batch:
    return {name: values for name, values in batch.items() if name != "weights"}


def moved_back(batch: Batch) -> Batch:
    """transformers moves labels to the left itself; ours stand where their logits do."""
    labels = torch.full_like(batch["labels"], -100)
    labels[:, 1:] = batch["labels"][:, :-1]
    return {**batch, "labels": labels}


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_text_classification(problem: Any, bert: Path, tmp_path: Path) -> None:
    topics = [topic for _, topic in tickets(160)]
    labels = {
        SINGLE: topics,
        MULTI: [f'["{topic}"]' if i % 3 else "[]" for i, topic in enumerate(topics)],
        REGRESSION: [str(len(text) / 50) for text in TEXTS],
    }[problem]
    task = TextClassification.create(settings_of(model=Model(problem_type=problem)))
    task = task.fitted({"label": labels}, {"train": dict.fromkeys(sorted(set(topics)), 50)}, ())
    features = task.features(
        {"text": TEXTS, "label": labels}, AutoTokenizer.from_pretrained(bert), LENGTH
    )
    encoded(features, tmp_path / "data" / "train.arrow")
    ours, theirs = losses_of_both(
        task, tmp_path / "data", bert, tmp_path, as_theirs=without_weights
    )
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)


def packed(task: Task, model: Path, folder: Path) -> Task:
    tokenizer = AutoTokenizer.from_pretrained(model)
    fitted = task.fitted({}, {}, (), tokenizer)
    packer = fitted.packer(tokenizer, LENGTH)
    assert packer is not None
    blocks = packer.add(
        fitted.features({"text": TEXTS * 4}, tokenizer, LENGTH).columns["input_ids"]
    )
    assert isinstance(blocks, pa.RecordBatch)
    with Writer(folder / "train.arrow") as writer:
        writer.write(blocks)
    return fitted


def test_fill_mask(bert: Path, tmp_path: Path) -> None:
    task = packed(FillMask.create(settings_of(seed=3)), bert, tmp_path / "data")
    ours, theirs = losses_of_both(task, tmp_path / "data", bert, tmp_path, as_theirs=dict)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_text_generation(gpt2: Path, tmp_path: Path) -> None:
    task = packed(TextGeneration.create(settings_of()), gpt2, tmp_path / "data")
    ours, theirs = losses_of_both(task, tmp_path / "data", gpt2, tmp_path, as_theirs=moved_back)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_text_generation_of_prompts(gpt2: Path, tmp_path: Path) -> None:
    tokenizer, columns = AutoTokenizer.from_pretrained(gpt2), Columns(prompt="p", completion="c")
    task = TextGeneration.create(settings_of(data=Data(columns=columns)))
    task = task.fitted({}, {}, (), tokenizer)
    rows = {"prompt": TEXTS, "completion": [topic for _, topic in tickets(160)]}
    encoded(task.features(rows, tokenizer, LENGTH), tmp_path / "data" / "train.arrow")
    ours, theirs = losses_of_both(task, tmp_path / "data", gpt2, tmp_path, as_theirs=moved_back)
    assert ours == pytest.approx(theirs, rel=1e-5)
