"""What was published is what was scored: a fresh process runs the files that were read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.artifacts import FILE, LINE, SPLITS, Dataset, Split
from job.errors import JobError
from job.tables import MappedTable
from job.tasks.base import Task

ROWS = 8
"""Of each held-out split."""
TOLERANCE = 1e-3
"""Between the scored and the fresh process's outputs; another padding moves the last digits."""


def compare(task: Task, folder: Path, dataset: Dataset, predictions: Path, max_length: int) -> int:
    """Run held-out rows, as text, through the published files; compare with predictions.parquet.

    Returns:
        The rows compared; 0 when nothing was held out.

    Raises:
        JobError: the fresh process failed, or its outputs differ.
    """
    rows = [row for split in SPLITS for row in _first(dataset, split)]
    if not rows:
        return 0
    expected = _expected(predictions, rows)
    found = _fresh(task, folder, rows, max_length)
    for row, want, got in zip(rows, expected, found, strict=True):
        difference = float(np.abs(np.asarray(want) - np.asarray(got)).max())
        if not difference <= TOLERANCE:
            raise JobError(
                f"the published model gives other outputs than were scored: row {row['row']} of "
                f"{row['split']} differs by {difference:.3g}; the version is withdrawn"
            )
    return len(rows)


def _first(dataset: Dataset, split: Split) -> list[dict[str, Any]]:
    """The first rows of a held-out split, by role."""
    if not dataset.rows(split).exists():
        return []
    rows = MappedTable(dataset.rows(split)).table.slice(0, ROWS).drop_columns([FILE, LINE])
    return [{"split": split, "row": i, **row} for i, row in enumerate(rows.to_pylist())]


def _expected(predictions: Path, rows: list[dict[str, Any]]) -> list[Any]:
    table = pq.read_table(predictions)
    column = "probabilities" if "probabilities" in table.column_names else "prediction"
    expected = []
    for row in rows:
        where = pc.and_(pc.equal(table["split"], row["split"]), pc.equal(table["row"], row["row"]))
        expected.append(table.filter(where)[column][0].as_py())
    return expected


def _fresh(task: Task, folder: Path, rows: list[dict[str, Any]], max_length: int) -> list[Any]:
    request = {"task": task.name, "folder": str(folder), "rows": rows, "max_length": max_length}
    done = subprocess.run(
        [sys.executable, "-m", "job.stages.publish.fresh"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise JobError(
            "the published model does not load in a fresh process: "
            + " ".join(done.stderr.strip().splitlines()[-1:]),
        )
    answer: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
