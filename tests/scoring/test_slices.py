"""Parts of held-out rows: which rows are in each, and what a model scores in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from job.data.arrow import MappedTable
from job.data.artifacts import ROW, SLICE
from job.scoring.slices import MOST_VALUES, slice_scores, slices
from job.settings import Evaluate, load
from job.tasks import create
from job.tasks.base import Task
from job.tasks.text_classification import TextClassification
from job.tasks.types import Scored

CLASSES = TextClassification(
    {"text": "text", "label": "label"}, "single_label_classification", ("ham", "spam")
)


def table(**columns: Any) -> MappedTable:
    return MappedTable.of(pa.table(columns))


def parts(names: list[str], rows: MappedTable, task: Task = CLASSES, **more: Any) -> dict[str, Any]:
    return {name: each.tolist() for name, each in slices(names, rows, task, **more).items()}


def test_rows_are_parted_by_label_length_and_columns() -> None:
    rows = table(
        text=["one", "", "two words", "a b c", "a b c d", " ".join("x" * 64)],
        label=["spam", "ham", "spam", "ham", "ham", "spam"],
        **{f"{SLICE}channel": ["sms", "mail", None, "sms", "label", "mail"]},
    )
    assert parts(["label", "length", "channel", "label"], rows) == {
        "label=ham": [1, 3, 4],
        "label=spam": [0, 2, 5],
        "length=0": [1],
        "length=1": [0],
        "length=2-3": [2, 3],
        "length=4-7": [4],
        "length=64-127": [5],
        "channel=label": [4],
        "channel=mail": [1, 5],
        "channel=sms": [0, 3],
        "channel=(none)": [2],
    }
    assert parts(["region"], rows) == parts([], rows) == {}


def test_a_row_is_in_the_part_of_each_of_its_labels() -> None:
    task = TextClassification({"text": "text", "label": "label"}, "multi_label_classification")
    rows = table(text=["a", "b", "c"], label=['["x", "y"]', "[]", '["y", "y"]'])
    assert parts(["label"], rows, task) == {
        "label=x": [0],
        "label=y": [0, 2],
        "label=(none)": [1],
    }


def test_values_with_few_rows_are_one_part_unless_they_are_named() -> None:
    values = [f"v{i:03}" for i in range(MOST_VALUES) for _ in range(2)] + [
        "rare",
        "apart",
        "(other)",
    ]
    rows = table(text=["a"] * len(values), **{f"{SLICE}c": values})
    found = parts(["c"], rows, named=["c=apart", "d=rare", "c=absent"])
    assert len(found) == MOST_VALUES + 2
    assert found["c=v000"] == [0, 1]
    assert found["c=apart"] == [101]
    assert found["c=(other)"] == [100, 102]
    assert list(found)[-1] == "c=(other)"


def test_tasks_have_their_own_labels_and_first_texts() -> None:
    settings = {"FINETUNE_TASK": "question-answering", "FINETUNE_MODEL__NAME": "a/model"}
    answers = ['{"text": ["a"], "answer_start": [0]}', '{"text": [], "answer_start": []}']
    rows = table(context=["a b", "a"], question=["who is it?", "who?"], answers=answers)
    found = parts(["label", "length"], rows, create(load(settings).settings))
    assert found == {
        "label=answer": [0],
        "label=no answer": [1],
        "length=1": [1],
        "length=2-3": [0],
    }


def scored(labels: list[str], guesses: list[str]) -> Scored:
    texts = ["a", "b c", "d e f", "g"][: len(labels)]
    names = np.array(CLASSES.labels)
    outputs: Any = [(names == guess).astype(np.float32) for guess in guesses]
    nobody: Any = None
    encoded = table(**{ROW: list(range(len(labels)))})
    return Scored(outputs, encoded, table(text=texts, label=labels), nobody)


def test_each_part_is_scored_by_the_metric_that_selects_or_by_the_tasks_own() -> None:
    answers = scored(["ham", "spam", "spam", "ham"], ["ham", "spam", "ham", "spam"])
    by_length = Evaluate(metric="eval_accuracy", slices=("length",))
    assert slice_scores(answers, CLASSES, by_length) == {
        "length=1": {"accuracy": 0.5, "samples": 2},
        "length=2-3": {"accuracy": 0.5, "samples": 2},
    }
    for metric in ("loss", None):
        found = slice_scores(answers, CLASSES, Evaluate(metric=metric, slices=("label",)))
        assert found["label=spam"] == {"f1": pytest.approx(2 / 3), "samples": 2}
    found = slice_scores(answers, CLASSES, Evaluate(metric="recall_spam", slices=("label",)))
    assert found == {"label=spam": {"recall_spam": 0.5, "samples": 2}}  # ham has nothing to recall
    assert slice_scores(answers, CLASSES, Evaluate()) == {}


def test_blocks_have_no_parts() -> None:
    answers = scored(["ham", "spam"], ["ham", "ham"])
    blocks = Scored(answers.outputs, table(length=[3, 3]), answers.rows, answers.tokenizer)
    assert slice_scores(blocks, CLASSES, Evaluate(slices=("length",))) == {}
