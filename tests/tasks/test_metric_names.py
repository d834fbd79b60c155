"""The metrics that the settings know are those that each task computes, no fewer and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from job.batching.limits import Limits
from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.scoring import scored
from job.scoring.held_out import HeldOut
from job.scoring.inference import Inference, InferenceOutput
from job.settings import load
from job.settings.metrics import (
    HEADLINE,
    METRICS,
    MINIMIZED,
    OF_CLASSES,
    SUPPORT,
    is_of_class,
    names,
)
from job.tasks.base import Task
from job.tasks.types import Outputs
from tests.support.samples import cleaned
from tests.support.task_samples import ROWS, fitted, table_of, tokenizer_of_all, variables


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tokenizer_of_all(tmp_path_factory.mktemp("bert"))


def outputs_of(task: Task, table: MappedTable) -> Outputs:
    """What a model might say: logits of a row or of its tokens, or a loss, a count and ids."""
    random, lengths = np.random.default_rng(0), table.column("length").tolist()
    labels = len(task.facts.get("labels", ()))
    shapes: dict[str, Callable[[int], Sequence[int]]] = {
        "text-classification": lambda _: (labels,),
        "token-classification": lambda length: (length, labels),
        "question-answering": lambda length: (length, 2),
    }
    if task.name in shapes:
        return [random.normal(size=shapes[task.name](n)).astype(np.float32) for n in lengths]
    return [np.array([2.5, 3, 8, 9, 10]) for _ in lengths]


def test_every_kind_of_every_task_has_an_example() -> None:
    assert set(ROWS) == {(task, kind) for task, kinds in METRICS.items() for kind in kinds}


@pytest.mark.parametrize(("task", "kind"), ROWS)
def test_the_table_names_what_the_task_computes(
    task: str, kind: str, tokenizer: Any, tmp_path: Path
) -> None:
    own, rows = ROWS[task, kind]
    made = fitted(task, own, rows, tokenizer)
    table = table_of(made, rows, tokenizer, tmp_path / "rows.arrow")
    held_out = HeldOut(table, MappedTable(cleaned(rows, tmp_path / "cleaned.arrow")))
    inference = Inference(None, made, tokenizer, Limits(64, Padding(0)))
    _, scores = scored(inference, held_out, InferenceOutput(outputs_of(made, table), {0: 1.0}))

    known, classes = names(task, kind), made.facts.get("types", made.facts.get("labels", ()))
    in_classes = set(OF_CLASSES) <= set(known)
    of_classes = {
        f"{figure}_{label}" for figure in (*OF_CLASSES, SUPPORT) for label in classes if in_classes
    }
    assert set(scores) == {*known, *of_classes}
    assert made.default_metric in known
    assert {name for name in scores if is_of_class(name)} == of_classes
    for name in scores:
        if not name.startswith(f"{SUPPORT}_"):
            load({**variables(task, own), "FINETUNE_EVALUATE__METRIC": name}, rules=["model"])


def test_what_is_minimized_and_what_is_shown_exists() -> None:
    known = {name for task in METRICS for name in names(task)}
    assert known >= MINIMIZED
    assert known >= set(HEADLINE)
