"""summarization and translation: features, losses and metrics, beside transformers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSeq2SeqLM
from transformers.trainer_pt_utils import LabelSmoother

from job.batching.padding import Padding
from job.batching.sampler import evaluation_batches
from job.data.arrow import MappedTable
from job.tasks.seq2seq import Seq2Seq, Summarization, Translation
from job.tasks.types import FIXED, Batch, Scored
from tests.support.samples import cleaned, encoded
from tests.support.seq2seq_samples import BACKWARDS
from tests.support.trainer_parity import losses_of_both
from tests.tasks.seq2seq.samples import ROWS, made, table_of


def test_features_are_source_and_target_with_their_special_tokens(tokenizer: Any) -> None:
    task = made(prefix="reverse: ", max_target_length=6)
    features = task.features(ROWS, tokenizer, 64)
    assert features.columns["input_ids"].to_pylist() == [
        tokenizer("reverse: " + source)["input_ids"] for source in ROWS["source"]
    ]
    wanted = tokenizer(text_target=ROWS["target"], truncation=True, max_length=6)["input_ids"]
    assert features.columns["labels"].to_pylist() == wanted
    assert features.truncated == 1
    assert task.features(ROWS, tokenizer, 5).truncated == 3, "a row that is cut twice counts once"


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=30))
def test_no_micro_batch_holds_more_than_its_limit(sizes: list[tuple[int, int]]) -> None:
    multiple, limit = 4, 200
    lengths = np.array([2 * (-(-max(size) // multiple) * multiple) for size in sizes])
    for rows in evaluation_batches(lengths, tokens=limit, multiple=multiple):
        widths = [
            -(-max(sizes[row][side] for row in rows) // multiple) * multiple for side in (0, 1)
        ]
        assert len(rows) * sum(widths) <= limit


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_transformers_own(
    folder: Path, tokenizer: Any, tmp_path: Path, smoothing: float
) -> None:
    task = made(smoothing=smoothing)
    table = table_of(task, tokenizer, tmp_path / "rows.arrow")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    rows = np.arange(3)
    batch = task.collate(table, rows, Padding(0), FIXED)
    theirs = tokenizer(ROWS["source"], padding=True, return_tensors="pt")
    labels = tokenizer(text_target=ROWS["target"], padding=True, return_tensors="pt")
    theirs["labels"] = labels.input_ids.masked_fill(labels.attention_mask == 0, -100)
    with torch.no_grad():
        outputs = model(**theirs)
        expected = (
            LabelSmoother(smoothing)(outputs, theirs["labels"]) if smoothing else outputs.loss
        )
        loss = float(task.loss(task.forward(model, batch), batch))
    assert loss / task.row_weights(table, rows, 0).sum() == pytest.approx(float(expected), rel=1e-5)
    nothing = task.collate(table, rows[:0], Padding(0), 0)
    assert task.loss(task.forward(model, nothing), nothing).item() == 0


def test_wrapped_models_and_those_that_move_the_labels_themselves(
    folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    from peft import LoraConfig, TaskType, get_peft_model

    task = made()
    table = table_of(task, tokenizer, tmp_path / "rows.arrow")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    batch = task.collate(table, np.arange(3), Padding(0), FIXED)

    class Parallel(torch.nn.Module):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, **inputs: Any) -> Any:
            return self.module(**inputs)

    class Silent(torch.nn.Module):
        def forward(self, **inputs: Any) -> Any:
            return model(**inputs)

    with torch.no_grad():
        expected = task.forward(model, batch).logits
        for wrapped in (Parallel(model), Silent()):
            assert torch.allclose(task.forward(wrapped, batch).logits, expected)
        adapted = get_peft_model(
            AutoModelForSeq2SeqLM.from_pretrained(folder),
            LoraConfig(task_type=TaskType(task.peft_type), target_modules="all-linear"),
        ).eval()
        assert torch.allclose(task.forward(adapted, batch).logits, expected, atol=1e-6)
        assert len(task.predict(adapted, batch)[0]) == 3


def test_fixed_padding_gives_each_side_its_own_width(tokenizer: Any, tmp_path: Path) -> None:
    task = made(padding="max_length", max_target_length=24)
    table = table_of(task, tokenizer, tmp_path / "rows.arrow")
    batch = task.collate(table, np.arange(3), Padding(0, fixed=64), FIXED)
    assert (batch["input_ids"].shape, batch["labels"].shape) == ((3, 64), (3, 24))
    assert table.column("length").tolist() == [88] * 3


def test_the_metrics_are_those_of_the_task(tokenizer: Any, tmp_path: Path) -> None:
    rows = MappedTable(cleaned(ROWS, tmp_path / "cleaned.arrow"))
    right = [np.array([0, 1, *tokenizer(t)["input_ids"], 0]) for t in ROWS["target"]]
    for kind, names in (
        (Summarization, {"rouge1", "rouge2", "rougeL", "rougeLsum"}),
        (Translation, {"bleu", "chrf"}),
    ):
        task = made(kind)
        scores = task.metrics(Scored(right, rows, rows, tokenizer))
        assert set(scores) == names
        assert task.default_metric in names
        assert scores[task.default_metric] == pytest.approx(100) or kind is Summarization
        assert all(task.signatures.values())


def test_rows_without_a_side_are_problems() -> None:
    found = made().problems({"source": [None, "a", "a"], "target": ["b", None, ""]})
    assert found == ["no source", "no target", None]


@pytest.mark.parametrize("kind", [Translation, Summarization])
def test_20_steps_have_the_losses_of_trainer(
    folder: Path, tokenizer: Any, tmp_path: Path, kind: type[Seq2Seq]
) -> None:
    task = made(kind)
    rows = {"source": [a for a, _ in BACKWARDS[:120]], "target": [b for _, b in BACKWARDS[:120]]}
    encoded(task.features(rows, tokenizer, 64), tmp_path / "train.arrow")

    def as_theirs(batch: Batch) -> Batch:
        return {k: v for k, v in batch.items() if k != "weights"}

    ours, theirs = losses_of_both(task, tmp_path, folder, tmp_path / "run", as_theirs=as_theirs)
    assert len(ours) == 20
    assert ours == pytest.approx(theirs, rel=1e-5)
