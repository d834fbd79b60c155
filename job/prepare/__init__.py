"""Prepare: files become clean rows, and clean rows the data set that a run trains on.

Fetching and cleaning are one thing to every command that reads rows; `dataset` goes on to encode
them, for a run, and commits what comes of it.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from job import tasks
from job.data.artifacts import CleanRows, Dataset, Inputs
from job.errors import DataError, StoreError
from job.runs.attempt import Attempt
from job.runs.identity import dataset_fingerprint
from job.settings import Settings
from job.stages import encode
from job.stages.clean import clean
from job.stages.fetch import fetch
from job.tasks.base import Task
from job.tasks.rules import RowRules
from job.telemetry import event


def rows(
    settings: Settings, rules: RowRules, inputs: Inputs, scratch: Path, *, limit: int | None = None
) -> CleanRows:
    """The inputs' rows as the settings want them: read, checked, cleaned and split.

    Args:
        rules: the task's, or those of a command that asks less of a row.
        scratch: its folders `fetched` and `cleaned` are written to.
        limit: rows of each split that are read at most.

    Raises:
        DataError: the files or too many of their rows cannot be used.
        InputMissing: a file is gone, or has changed since its identity was taken.
    """
    raw = fetch(settings.data, inputs, scratch / "fetched", limit=limit)
    partial = limit is not None and raw.read["train"] >= limit
    return clean(settings, rules, raw, scratch / "cleaned", partial=partial)


def dataset(attempt: Attempt) -> tuple[Task, Dataset]:
    """The run's data set: as it stands in the store already, or made and committed."""
    settings, run = attempt.settings, attempt.run
    task: Task = tasks.create(settings)
    fingerprint = dataset_fingerprint(settings, attempt.inputs, attempt.base)
    key = f"{settings.name}/datasets/{fingerprint}"
    folder = attempt.scratch / "dataset"
    found = encode.find(run.store, key, folder)
    if found is not None:
        event("data set found in the store", fingerprint=fingerprint)
        run.progressed("encode")
        return task.restored(found.profile["task"]), found

    base = attempt.base
    encoder = encode.Encoder(base.tokenizer, base.max_length, base.labels)
    cleaned = _rows_or_quarantine(attempt, task)
    task, profile, files = encode.encode(cleaned, task, encoder, folder)
    made = encode.publish(run.store, key, run.state.attempt, fingerprint, files, profile, folder)
    for done in ("fetched", "cleaned"):
        shutil.rmtree(attempt.scratch / done, ignore_errors=True)
    run.progressed("encode")
    return task, made


def _rows_or_quarantine(attempt: Attempt, task: Task) -> CleanRows:
    """The rows; where too many of them are bad, these are kept with the run for somebody to see."""
    try:
        return rows(attempt.settings, task, attempt.inputs, attempt.scratch)
    except DataError as error:
        if error.kept is not None:
            with suppress(StoreError):  # what is wrong with the data is what matters
                attempt.run.store.upload(error.kept, attempt.run.key("quarantine.jsonl"))
        raise
