"""What every task has in common: a micro-batch of no rows keeps a rank in step and counts for nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from job.batching.padding import Padding
from job.tasks.base import Task
from job.tasks.types import FIXED, IGNORED, Batch
from tests.support.task_samples import ROWS, fitted, table_of, tokenizer_of_all

NOTHING = np.empty(0, dtype=np.int64)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tokenizer_of_all(tmp_path_factory.mktemp("bert"))


@pytest.mark.parametrize(("task", "kind"), ROWS)
def test_no_rows_are_a_real_row_that_does_not_count(
    task: str, kind: str, tokenizer: Any, tmp_path: Path
) -> None:
    own, rows = ROWS[task, kind]
    made = fitted(task, own, rows, tokenizer)
    table = table_of(made, rows, tokenizer, tmp_path / "rows.arrow")
    real = made.collate(table, np.array([0]), Padding(0), FIXED)
    dummy = made.collate(table, NOTHING, Padding(0), FIXED)
    silenced, value = ("weights", 0) if "weights" in real else ("labels", IGNORED)
    assert dummy.keys() == real.keys()
    for name, values in real.items():
        assert dummy[name].dtype == values.dtype
        expected = torch.full_like(values, value) if name == silenced else values
        assert torch.equal(dummy[name], expected)
    assert not torch.equal(dummy[silenced], real[silenced])
    assert made.loss(outputs_of(made, dummy, len(tokenizer)), dummy).item() == 0


def outputs_of(task: Task, batch: Batch, vocabulary: int) -> SimpleNamespace:
    """What a model might say of a micro-batch, at random."""
    rows, tokens = batch["input_ids"].shape
    classes = len(task.facts.get("labels", ())) or vocabulary
    shapes = {
        "text-classification": (rows, classes),
        "token-classification": (rows, tokens, classes),
    }
    shape = shapes.get(task.name, (*batch["labels"].shape, classes))
    start, end = torch.randn(rows, tokens), torch.randn(rows, tokens)
    return SimpleNamespace(logits=torch.randn(shape), start_logits=start, end_logits=end)
