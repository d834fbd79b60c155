"""Evaluate: the model as it will be published, scored over whole splits; test is touched here only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from job.data.artifacts import FILE, LINE, Dataset, Split
from job.scoring import score
from job.scoring.held_out import HeldOut
from job.scoring.inference import Inference
from job.scoring.slices import slice_scores
from job.settings.metrics import of_slice
from job.settings.protocols import HasEvaluate
from job.store import layout
from job.tasks.base import Task
from job.telemetry import event

PREFIXES: dict[Split, str] = {"validation": "eval", "test": "test"}
"""transformers' names: eval_* is the validation split."""


@dataclass(frozen=True)
class Scores:
    """What the model scored, and every prediction behind it."""

    results: dict[str, float]
    """eval_* and test_*, flat; of slices test[length=64-127]_* and the like."""
    predictions: Path
    """Parquet: split, row, file, line, and the task's own columns."""


def evaluate(
    inference: Inference, dataset: Dataset, settings: HasEvaluate, scratch: Path
) -> Scores:
    """Score a model over validation and test, where the data set has them.

    Args:
        inference: the model as it was loaded back from its files.
        settings: say which parts of the rows are scored by themselves as well.
        scratch: where the predictions are written.

    Raises:
        Diverged: the loss is not a finite number.
    """
    task = inference.task
    results: dict[str, float] = {}
    tables: list[pa.Table] = []
    for split, prefix in PREFIXES.items():
        held_out = HeldOut.open(dataset, split)
        if held_out is None:
            continue
        scored, metrics = score(inference, held_out)
        rows = held_out.rows
        results |= {f"{prefix}_{name}": value for name, value in metrics.items()}
        results[f"{prefix}_samples"] = len(rows)
        for part, figures in slice_scores(scored, task, settings.evaluate).items():
            results |= {of_slice(prefix, part, name): value for name, value in figures.items()}
        tables.append(_predictions(split, held_out, task.written(scored)))
        event("scored", split=split, rows=len(rows), **_headline(metrics, task))
    predictions = scratch / layout.PREDICTIONS
    if tables:
        pq.write_table(pa.concat_tables(tables), predictions)
    return Scores(results, predictions)


def _headline(metrics: dict[str, float], task: Task) -> dict[str, float]:
    return {
        name: metrics[name]
        for name in dict.fromkeys(("loss", "accuracy", task.default_metric))
        if name in metrics
    }


def _predictions(split: Split, held_out: HeldOut, written: dict[str, Any]) -> pa.Table:
    """What the task writes, beside the row it is for: where rows are packed, the block's number, which
    has no file and line."""
    columns: dict[str, Any] = {name: pa.array(values) for name, values in written.items()}
    count = len(next(iter(columns.values())))
    origin: dict[str, Any] = {"split": pa.array([split] * count), "row": pa.array(np.arange(count))}
    for name, column in (("file", FILE), ("line", LINE)):
        if held_out.packed:
            origin[name] = pa.nulls(count, pa.int64())
        else:
            origin[name] = pa.array(held_out.rows.column(column))
    return pa.table(origin | columns)
