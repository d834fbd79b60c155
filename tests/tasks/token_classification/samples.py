"""Sentences with names and places, and small taggers of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from job.batching.padding import Padding
from job.data.arrow import MappedTable
from job.settings import Data, Encode
from job.tasks.token_classification import TokenClassification
from job.tasks.types import FIXED, Scored
from tests.support.samples import cleaned, encoded, settings_of

NAMES = ("Anna", "Chidi", "Okonkwo", "Lee")
PLACES = ("Paris", "Lagos", "U.S.", "Rio-Negro")
OTHERS = ("met", "in", "the", "said", "unbelievable", ",", "again", "today")


def sentences(count: int, words: int = 8, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Names and places at random, told apart by their words."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        tokens: list[str] = []
        tags: list[str] = []
        while len(tokens) < words:
            kind = random.integers(0, 4)
            if kind == 0:
                tokens += [str(random.choice(NAMES[:2])), str(random.choice(NAMES[2:]))]
                tags += ["B-PER", "I-PER"]
            elif kind == 1:
                tokens.append(str(random.choice(PLACES)))
                tags.append("B-LOC")
            else:
                tokens.append(str(random.choice(OTHERS)))
                tags.append("O")
        found.append((tokens, tags))
    return found


def rows_of(found: list[tuple[list[str], list[str]]]) -> dict[str, list[str]]:
    return {
        "tokens": [json.dumps(tokens) for tokens, _ in found],
        "tags": [json.dumps(tags) for _, tags in found],
    }


def made(data: dict[str, Any] | None = None, **encode: Any) -> TokenClassification:
    return TokenClassification.create(
        settings_of(data=Data(**(data or {})), encode=Encode(**encode))
    )


def counts(task: TokenClassification, rows: dict[str, list[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for labels in task.labels_of(rows):
        for label in labels:
            found[label] = found.get(label, 0) + 1
    return found


def fitted(rows: dict[str, list[str]], **encode: Any) -> TokenClassification:
    task = made(**encode)
    return task.fitted(rows, {"train": counts(task, rows)}, ())


def model_of(task: TokenClassification, bert: Path) -> Any:
    torch.manual_seed(1)
    model = AutoModelForTokenClassification.from_pretrained(bert, num_labels=len(task.labels))
    task.configure(model.config)
    torch.nn.init.normal_(model.classifier.weight, std=1.0)  # decided, and not all one label
    return model.eval()


def scored_of(
    task: TokenClassification, rows: Any, bert: Path, folder: Path, length: int
) -> Scored:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    features = task.features(rows, tokenizer, length)
    table = MappedTable(encoded(features, folder / "rows.arrow"))
    batch = task.collate(table, np.arange(len(table)), Padding(0), FIXED)
    with torch.no_grad():
        outputs, _ = task.predict(model_of(task, bert), batch)
    return Scored(outputs, table, MappedTable(cleaned(rows, folder / "cleaned.arrow")), tokenizer)
