"""Rows become the data set that a run trains on: encoded, and committed to the store."""

from __future__ import annotations

import shutil
from contextlib import suppress

from job import tasks
from job.data.artifacts import CleanRows, Dataset
from job.errors import DataError, StoreError
from job.gate import parts
from job.prepare.clean_rows import rows
from job.runs import identity
from job.runs.attempt import Attempt
from job.stages import encode
from job.store import layout
from job.tasks.base import Task
from job.tasks.row_rules import Readable
from job.telemetry import event


def dataset(attempt: Attempt) -> tuple[Task, Dataset]:
    """The run's data set, as it is in the store already, or made and committed; and its fitted task.

    Raises:
        DataError, InputMissing: see `rows`; or there is nothing to learn.
    """
    settings, record = attempt.settings, attempt.run
    task: Task = tasks.create(settings)
    gate = parts.data_sets(record.store, settings.name, attempt.frozen.gate)
    fingerprint = identity.dataset(settings, attempt.inputs, attempt.base, gate)
    key = layout.dataset(settings.name, fingerprint)
    folder = attempt.scratch / "dataset"
    existing = encode.find(record.store, key, folder)
    if existing is not None:
        event("data set found in the store", fingerprint=fingerprint)
        record.progressed("encode")
        return task.restored(existing.profile["task"]), existing

    base = attempt.base
    encoder = encode.Encoder(base.tokenizer, base.max_length, base.labels)
    cleaned = _rows_or_quarantine(attempt, task)
    task, profile, files = encode.encode(cleaned, task, encoder, folder)
    encoded = Dataset(fingerprint, folder, profile)
    encode.commit_dataset(record.store, key, encoded, files)
    for name in ("fetched", "cleaned"):
        shutil.rmtree(attempt.scratch / name, ignore_errors=True)
    record.progressed("encode")
    return task, encoded


def _rows_or_quarantine(attempt: Attempt, task: Task) -> CleanRows:
    """The rows; where too many of them are bad, the quarantine is kept with the run to be looked at."""
    try:
        settings, scratch = attempt.settings, attempt.scratch
        rules = Readable(task, attempt.base.tokenizer)
        store, gate = attempt.run.store, attempt.frozen.gate
        held_back = parts.held_back(store, settings.name, gate, settings, rules, scratch)
        return rows(settings, rules, attempt.inputs, scratch, held_back=held_back)
    except DataError as error:
        if error.kept is not None:
            with suppress(StoreError):  # what is wrong with the data is what matters
                attempt.run.store.upload(error.kept, attempt.run.key(layout.QUARANTINE))
        raise
