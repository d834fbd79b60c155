"""Evaluate: the model as it will be published, scored over whole splits; test is touched here only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from job import models
from job.artifacts import FILE, LINE, Dataset, Split
from job.errors import DataError
from job.models import Place
from job.runtime import has_gpu
from job.scoring import Limits, score
from job.settings import Model, Runtime
from job.tables import MappedTable
from job.tasks.base import Task
from job.telemetry import event

PREFIXES: dict[Split, str] = {"validation": "eval", "test": "test"}
"""transformers' names: eval_* is the validation split."""


@dataclass(frozen=True)
class Scores:
    """What the model scored, and every prediction behind it."""

    results: dict[str, float]
    """eval_* and test_*, flat."""
    predictions: Path
    """Parquet: split, row, file, line, and the task's own columns."""


def evaluate(
    settings: Model,
    runtime: Runtime,
    task: Task,
    folder: Path,
    dataset: Dataset,
    limits: Limits,
    scratch: Path,
    *,
    poll: Callable[[], None],
) -> Scores:
    """Load the saved model afresh and score it over validation and test, in float32.

    Raises:
        DataError: an output is not a finite number.
    """
    import torch

    place = Place(str(folder), folder, "")
    model: Any = models.load(place, task, settings, own=True)
    device = torch.device("cuda" if has_gpu(runtime) else "cpu")
    model.to(device)
    results: dict[str, float] = {}
    tables: list[pa.Table] = []
    for split, prefix in PREFIXES.items():
        if not dataset.table(split).exists():
            continue
        table = MappedTable(dataset.table(split))
        scored = score(model, task, table, limits, device, poll=poll)
        if not np.isfinite(scored.outputs).all():
            raise DataError(
                f"the model's outputs on {split} are not all finite",
                hint="look at the training loss",
            )
        results |= {f"{prefix}_{name}": value for name, value in scored.metrics.items()}
        results[f"{prefix}_samples"] = len(table)
        tables.append(_predictions(split, task, scored.outputs, table))
        event("scored", split=split, rows=len(table), **_headline(scored.metrics, task))
    predictions = scratch / "predictions.parquet"
    if tables:
        pq.write_table(pa.concat_tables(tables), predictions)
    return Scores(results, predictions)


def _headline(metrics: dict[str, float], task: Task) -> dict[str, float]:
    return {
        name: metrics[name]
        for name in dict.fromkeys(("loss", "accuracy", task.default_metric))
        if name in metrics
    }


def _predictions(split: Split, task: Task, outputs: Any, table: MappedTable) -> pa.Table:
    rows = len(table)
    columns: dict[str, Any] = {
        "split": pa.array([split] * rows),
        "row": pa.array(np.arange(rows)),
        "file": pa.array(table.column(FILE)),
        "line": pa.array(table.column(LINE)),
    }
    columns |= {name: pa.array(values) for name, values in task.written(outputs, table).items()}
    return pa.table(columns)
