"""The metrics that the settings know are those that each task computes, no fewer and no more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from job import tasks
from job.data.arrow import MappedTable, Writer
from job.scoring import scored_of
from job.scoring.held_out import HeldOut
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
from job.tasks.values import Outputs
from tests.support.samples import cleaned, encoded, tiny_bert

Rows = Mapping[str, list[str]]

TEXTS = ["anna lives in rome", "boris lives in oslo", "who lives in lima", "nobody is there"]
SPANS = [{"text": ["rome"], "answer_start": [14]}, {"text": [], "answer_start": []}]
TAGS = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O", "O", "O"]]
SENTENCES = [json.dumps(text.split()) for text in TEXTS[:2]]

ROWS: dict[tuple[str, str], tuple[dict[str, str], Rows]] = {
    ("text-classification", "single_label_classification"): (
        {"MODEL__PROBLEM_TYPE": "single_label_classification"},
        {"text": TEXTS, "label": ["ham", "spam", "ham", "spam"]},
    ),
    ("text-classification", "multi_label_classification"): (
        {"MODEL__PROBLEM_TYPE": "multi_label_classification"},
        {"text": TEXTS, "label": ['["x"]', '["y"]', "[]", '["x", "y"]']},
    ),
    ("text-classification", "regression"): (
        {"MODEL__PROBLEM_TYPE": "regression"},
        {"text": TEXTS, "label": ["1", "2", "4", "3"]},
    ),
    ("token-classification", "entities"): (
        {},
        {"tokens": SENTENCES, "tags": [json.dumps(tags) for tags in TAGS]},
    ),
    ("token-classification", "tags"): (
        {"DATA__TAG_SCHEME": "none"},
        {"tokens": SENTENCES, "tags": [json.dumps(tags) for tags in TAGS]},
    ),
    ("question-answering", "answers"): (
        {},
        {"question": TEXTS[2:], "context": TEXTS[:2], "answers": [json.dumps(s) for s in SPANS]},
    ),
    ("fill-mask", "text"): ({}, {"text": TEXTS}),
    ("text-generation", "text"): ({}, {"text": TEXTS}),
    ("text-generation", "prompts"): (
        {"DATA__COLUMNS__PROMPT": "prompt", "DATA__COLUMNS__COMPLETION": "completion"},
        {"prompt": TEXTS[:2], "completion": TEXTS[2:]},
    ),
    ("summarization", "pairs"): ({}, {"source": TEXTS[:2], "target": TEXTS[2:]}),
    ("translation", "pairs"): ({}, {"source": TEXTS[:2], "target": TEXTS[2:]}),
}
"""For each kind of each task the settings that name it, and rows for which all metrics are defined."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = AutoTokenizer.from_pretrained(tiny_bert(tmp_path_factory.mktemp("bert"), TEXTS * 5))
    made.eos_token = "[SEP]"
    return made


def variables(task: str, own: Mapping[str, str]) -> dict[str, str]:
    given = {"TASK": task, "MODEL__NAME": "a/model", **own}
    return {f"FINETUNE_{name}": value for name, value in given.items()}


def table_of(task: Task, rows: Rows, tokenizer: Any, path: Path) -> MappedTable:
    features, packer = task.features(rows, tokenizer, 16), task.packer(tokenizer, 16)
    if packer is None:
        return MappedTable(encoded(features, path))
    blocks = packer.add(features.columns["input_ids"])
    with Writer(path) as writer:
        assert isinstance(blocks, pa.RecordBatch)
        writer.write(blocks)
    return MappedTable(path)


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
    unfitted = tasks.create(load(variables(task, own)).settings)
    counts = Counter(label for labels in unfitted.labels_of(rows) for label in labels)
    fitted = unfitted.fitted(rows, {"train": counts}, (), tokenizer)
    table = table_of(fitted, rows, tokenizer, tmp_path / "rows.arrow")
    held_out = HeldOut(table, MappedTable(cleaned(rows, tmp_path / "cleaned.arrow")))
    _, scores = scored_of(fitted, held_out, tokenizer, outputs_of(fitted, table), {0: 1.0})

    known, classes = names(task, kind), fitted.facts.get("types", fitted.facts.get("labels", ()))
    in_classes = set(OF_CLASSES) <= set(known)
    of_classes = {
        f"{figure}_{label}" for figure in (*OF_CLASSES, SUPPORT) for label in classes if in_classes
    }
    assert set(scores) == {*known, *of_classes}
    assert fitted.default_metric in known
    assert {name for name in scores if is_of_class(name)} == of_classes
    for name in scores:
        if not name.startswith(f"{SUPPORT}_"):
            load({**variables(task, own), "FINETUNE_EVALUATE__METRIC": name}, rules=["model"])


def test_what_is_minimized_and_what_is_shown_exists() -> None:
    known = {name for task in METRICS for name in names(task)}
    assert known >= MINIMIZED
    assert known >= set(HEADLINE)
