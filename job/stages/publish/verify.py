"""What was published is what was scored: a fresh process runs the files that were read back."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from job.data.arrow import MappedTable
from job.data.artifacts import SPLITS, Dataset, Split
from job.errors import JobError
from job.models import Place, load_tokenizer
from job.runtime.stop import poll
from job.settings import Model
from job.tasks.base import Task
from job.tasks.special_tokens import SpecialTokens

ROWS = 8
"""Of each held-out split."""
TOLERANCE = 1e-3
"""Between the scored and the fresh process's outputs; another padding moves the last digits."""


def compare_outputs(
    task: Task,
    place: Place,
    dataset: Dataset,
    predictions: Path,
    max_length: int,
) -> tuple[int, float]:
    """Run held-out rows, as text, through the published files, and compare with what was scored.

    Args:
        place: the files that were read back.
        predictions: predictions.parquet, as the evaluate stage wrote it.
        max_length: tokens that a row may have.

    Returns:
        How many rows were compared, 0 where nothing was held out, and the largest difference (see
        `distance`).

    Raises:
        JobError: the fresh process failed, or its outputs differ.
    """
    rows = [row for split in SPLITS for row in _trials(task, dataset, split)]
    if not rows:
        return 0, 0.0
    scored = _scored(task, predictions, rows)
    fresh = _fresh(task, place, as_read(rows, task, place), max_length)
    compared, largest = 0, 0.0
    for row, want, got in zip(rows, scored, fresh, strict=True):
        if got is None:
            continue
        compared += 1
        pairs = [(a, b) for a, b in zip(want, got, strict=True) if b is not None]
        difference = max((distance(a, b) for a, b in pairs), default=0.0)
        if not difference <= TOLERANCE:
            raise JobError(
                f"the published model does not give the outputs that were scored: row {row['row']} "
                f"of {row['split']} differs by {difference:.3g}; the version is withdrawn"
            )
        largest = max(largest, difference)
    return compared, largest


def distance(want: Any, got: Any) -> float:
    """The largest difference between two JSON values' numbers, relative for those above 1; infinite
    where anything else differs."""
    if isinstance(want, dict) and isinstance(got, dict) and want.keys() == got.keys():
        return max((distance(want[key], got[key]) for key in want), default=0.0)
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return max((distance(a, b) for a, b in zip(want, got, strict=True)), default=0.0)
    if isinstance(want, (int, float)) and isinstance(got, (int, float)):
        return abs(want - got) / max(1.0, abs(want))
    return 0.0 if want == got else math.inf


def _trials(task: Task, dataset: Dataset, split: Split) -> list[dict[str, Any]]:
    """What the fresh process is given of a split; nothing where no rows of it are held out."""
    if not dataset.rows(split).exists():
        return []
    table, rows = MappedTable(dataset.table(split)), MappedTable(dataset.rows(split))
    return [{"split": split, **trial} for trial in task.trials(table, rows, ROWS)]


def as_read(rows: list[dict[str, Any]], task: Task, place: Place) -> list[dict[str, Any]]:
    """The rows as the model reads their texts, where its tokenizer cannot take all special tokens as text."""
    if not task.reads_texts_alone:
        return rows
    readable = SpecialTokens(load_tokenizer(place, Model())).readable
    texts = set(task.text_roles)
    return [
        {k: readable([v])[0] if k in texts and v else v for k, v in row.items()} for row in rows
    ]


def _scored(task: Task, predictions: Path, rows: list[dict[str, Any]]) -> list[Any]:
    """For each row the values of the task's `compared` as they were scored."""
    table = pq.read_table(predictions)
    scored = []
    for row in rows:
        where = pc.and_(pc.equal(table["split"], row["split"]), pc.equal(table["row"], row["row"]))
        match = table.filter(where)
        scored.append([match[column][0].as_py() for column in task.compared])
    return scored


def _fresh(task: Task, place: Place, rows: list[dict[str, Any]], max_length: int) -> list[Any]:
    """For each row the values of the task's `compared` that a fresh process finds; None for a value, or
    a row, that it cannot give."""
    request = {
        "task": task.name,
        "folder": str(place.folder),
        "base": place.base and str(place.base),
        "auto_class": task.auto_class,
        "rows": rows,
        "reading": {"max_length": max_length, **task.reading},
    }
    code, output, errors = _run(json.dumps(request))
    if code != 0:
        raise JobError(
            "the published model does not load in a fresh process: "
            + " ".join(errors.strip().splitlines()[-1:]),
        )
    values: list[Any] = json.loads(output.splitlines()[-1])
    return values


def _run(request: str) -> tuple[int, str, str]:
    """The fresh process's exit code, stdout and stderr; a stop ends it at once."""
    with subprocess.Popen(
        [sys.executable, "-m", "job.stages.publish.verify_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            unsent: str | None = request
            while True:
                try:
                    output, errors = process.communicate(unsent, timeout=0.2)
                    return process.returncode, output, errors
                except subprocess.TimeoutExpired:
                    unsent = None
                    poll()
        except BaseException:
            process.kill()
            raise
