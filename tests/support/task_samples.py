"""Each kind of each task with its settings and some rows, small enough to be scored by hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import AutoTokenizer

from job import tasks
from job.data.arrow import MappedTable, Writer
from job.settings import load
from job.tasks.base import Task
from tests.support.samples import encoded, tiny_bert

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


def tokenizer_of_all(folder: Path) -> Any:
    """A tokenizer of TEXTS with the special tokens that any task needs."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(folder, TEXTS * 5))
    tokenizer.eos_token = "[SEP]"
    return tokenizer


def variables(task: str, own: Mapping[str, str]) -> dict[str, str]:
    """Settings by their variables, with as many more as the rules of a model need."""
    given = {"TASK": task, "MODEL__NAME": "a/model", **own}
    return {f"FINETUNE_{name}": value for name, value in given.items()}


def fitted(task: str, own: Mapping[str, str], rows: Rows, tokenizer: Any) -> Task:
    """The task that these settings name, fitted to the rows."""
    unfitted = tasks.create(load(variables(task, own)).settings)
    counts = Counter(label for labels in unfitted.labels_of(rows) for label in labels)
    return unfitted.fitted(rows, {"train": counts}, (), tokenizer)


def table_of(task: Task, rows: Rows, tokenizer: Any, path: Path) -> MappedTable:
    """The rows as the encode stage writes them, packed where the task packs."""
    features, packer = task.features(rows, tokenizer, 16), task.packer(tokenizer, 16)
    if packer is None:
        return MappedTable(encoded(features, path))
    blocks = packer.add(features.columns["input_ids"])
    with Writer(path) as writer:
        assert isinstance(blocks, pa.RecordBatch)
        writer.write(blocks)
    return MappedTable(path)
