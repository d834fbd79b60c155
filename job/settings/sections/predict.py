"""PREDICT: what `finetune predict` reads and writes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from job.settings.sections.base import Section
from job.settings.sections.data import Names, Sources


class Predict(Section):
    """Batch inference: rows without targets in, the same rows with predictions out."""

    incidental = True

    input: Sources = ()
    """The rows: a URI, a glob, or a JSON list of them; DATA__FORMAT, DATA__COLUMNS and the like say how they are read."""

    format: Literal["jsonl", "parquet"] = "jsonl"
    """What predictions are written as."""

    keep: Names = ()
    """Columns of the rows that are written with the predictions, such as an identifier."""

    shard_rows: Annotated[int, Field(ge=1)] = 10_000
    """Rows in a file of predictions; a stopped run continues with the first missing file."""

    pods: Annotated[int, Field(ge=1)] = 1
    """Pods that share the work (the Job's completions); they take the files in turn."""

    pod: Annotated[int, Field(ge=0)] | None = None
    """The number of this pod, from 0; by default what JOB_COMPLETION_INDEX says, or 0."""
