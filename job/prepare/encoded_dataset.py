"""Rows become the data set that a run trains on: encoded, and committed to the store."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from job import checks, tasks
from job.data.artifacts import LEARNED, CleanRows, Dataset
from job.errors import DataError, StoreError
from job.gate import parts
from job.prepare.clean_rows import rows
from job.prepare.start import START, Start, counted, from_base, other_labels, shares, start_of
from job.runs import identity
from job.runs.attempt import Attempt
from job.runs.record import Run
from job.stages import encode
from job.stages.clean import EVERYTHING, Replay
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
    start = start_of(attempt)
    inputs, base = attempt.inputs, attempt.base
    fingerprint = identity.dataset(settings, inputs, base, gate, start.origin)
    folder = attempt.scratch / "dataset"
    existing = _found(record, fingerprint, folder)
    if existing is not None:
        event("data set found in the store", fingerprint=existing.fingerprint)
        if record.state.stage in ("start", "encode"):
            checks.check(attempt, task, lambda: _rows_or_quarantine(attempt, task), existing)
        record.progressed("encode")
        return task.restored(existing.profile["task"]), existing

    key = layout.dataset(settings.name, fingerprint)
    start, cleaned = _fitting(attempt, task, start)
    encoder = encode.Encoder(base.tokenizer, base.max_length, start.labels)
    task, profile, files = encode.encode(cleaned, task, encoder, folder)
    if start.write_learned(folder / LEARNED):
        files[LEARNED] = folder / LEARNED
    encoded = Dataset(fingerprint, folder, profile)
    encode.commit_dataset(record.store, key, encoded, files)
    _discard(attempt)
    record.progressed("encode")
    return task, encoded


def _found(record: Run, fingerprint: str, folder: Path) -> Dataset | None:
    """The data set as it is in the store, if it is: the one that the run has begun with, though it would
    make another one now (of a champion less may be known, or a release may encode otherwise)."""
    begun = record.state.dataset
    for name in dict.fromkeys(filter(None, (begun, fingerprint))):
        record.uses(name)
        found = encode.find(record.store, layout.dataset(record.settings.name, name), folder)
        if found is not None:
            return found
    return None


def _fitting(attempt: Attempt, task: Task, start: Start) -> tuple[Start, CleanRows]:
    """The rows, checked, and what training begins from: the base model where a champion's head is not
    one for them."""
    cleaned = counted(start, _rows_or_quarantine(attempt, task, start.replay))
    checks.check(attempt, task, lambda: cleaned)
    if start.champion is None:
        return start, cleaned
    if reason := other_labels(start, task, cleaned):
        _discard(attempt)
        start, cleaned = from_base(attempt, reason), _rows_or_quarantine(attempt, task)
        return start, _said(cleaned, {"reason": reason})
    return start, _said(cleaned, {"champion": start.version, **shares(start, cleaned)})


def _said(rows: CleanRows, start: dict[str, Any]) -> CleanRows:
    return replace(rows, profile={**rows.profile, START: start})


def _discard(attempt: Attempt) -> None:
    """Remove the rows as they were before they were encoded."""
    for name in ("fetched", "cleaned"):
        shutil.rmtree(attempt.scratch / name, ignore_errors=True)


def _rows_or_quarantine(attempt: Attempt, task: Task, replay: Replay = EVERYTHING) -> CleanRows:
    """The rows; where too many of them are bad, the quarantine is kept with the run to be looked at."""
    try:
        settings, scratch = attempt.settings, attempt.scratch
        rules = Readable(task, attempt.base.tokenizer)
        store, gate = attempt.run.store, attempt.frozen.gate
        held_back = parts.held_back(store, settings.name, gate, settings, rules, scratch)
        return rows(settings, rules, attempt.inputs, scratch, held_back=held_back, replay=replay)
    except DataError as error:
        if error.kept is not None:
            with suppress(StoreError):  # what is wrong with the data is what matters
                attempt.run.store.upload(error.kept, attempt.run.key(layout.QUARANTINE))
        raise
