"""Rows cleaned for a classifier, and what came of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from job.data.arrow import stream
from job.data.artifacts import CleanRows, RawRows, Split
from job.settings import Clean, Data, Evaluate
from job.stages.clean import clean
from job.stages.fetch import fetch, resolve_inputs
from job.tasks.text_classification import TextClassification
from tests.support.samples import settings_of


def jsonl(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def labelled(*texts: str, label: str = "x") -> list[dict[str, Any]]:
    return [{"text": text, "label": label} for text in texts]


def run(
    folder: Path,
    settings: dict[str, Any] | None = None,
    slices: tuple[str, ...] = (),
    **data: Any,
) -> CleanRows:
    """Fetch and clean; nothing is held out unless `data` says so."""
    chosen = Data(**{"validation_fraction": 0, "test_fraction": 0, **data})
    raw = fetch(chosen, resolve_inputs(chosen), folder / "fetch")
    return run_raw(folder, chosen, raw, slices, **(settings or {}))


def run_raw(
    folder: Path, data: Data, raw: RawRows, slices: tuple[str, ...] = (), **settings: Any
) -> CleanRows:
    rules = TextClassification.create(settings_of(data=data))
    evaluate = Evaluate(slices=slices)
    chosen = settings_of(clean=Clean(**settings), data=data, evaluate=evaluate)
    return clean(chosen, rules, raw, folder / "clean")


def rows_of(rows: CleanRows, split: Split = "train") -> list[dict[str, Any]]:
    return [row for b in stream(rows.tables[split]) for row in b.to_pylist()]


def texts_of(rows: CleanRows, split: Split = "train") -> list[str]:
    return [row["text"] for row in rows_of(rows, split)]


def counts(rows: CleanRows, split: str = "train") -> dict[str, Any]:
    found: dict[str, Any] = rows.profile["splits"][split]
    return found
