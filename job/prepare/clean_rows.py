"""Files become the rows that a command asks for: fetched, checked, cleaned and split."""

from __future__ import annotations

from pathlib import Path

from job.data.artifacts import CleanRows, Inputs
from job.settings import Settings
from job.stages.clean import EVERYTHING, NOTHING, HeldBack, Replay, clean
from job.stages.fetch import fetch
from job.tasks.row_rules import RowRules


def rows(
    settings: Settings,
    rules: RowRules,
    inputs: Inputs,
    scratch: Path,
    *,
    limit: int | None = None,
    held_back: HeldBack = NOTHING,
    replay: Replay = EVERYTHING,
) -> CleanRows:
    """The inputs' rows: read, checked, cleaned and split as the settings say.

    Args:
        rules: the task's, or those of a command that asks less of a row.
        scratch: the folders `fetched` and `cleaned` are written below it.
        limit: how many rows of each split are read at most.
        held_back: the gate's rows, which are neither trained on nor validated with.
        replay: which of the texts that a model has learned from it is trained on again.

    Raises:
        DataError: the files or too many of their rows cannot be used.
        InputMissing: a file is gone, or has changed since its identity was taken.
    """
    raw = fetch(settings.data, inputs, scratch / "fetched", limit=limit)
    partial = limit is not None and raw.read["train"] >= limit
    folder = scratch / "cleaned"
    return clean(settings, rules, raw, folder, held_back=held_back, replay=replay, partial=partial)
