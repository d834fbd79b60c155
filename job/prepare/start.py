"""What training begins from, which decides what of the rows it is given: the base model and all of them,
or the champion with the new ones and a part of the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from job import models
from job.data.arrow import Writer, stream
from job.data.artifacts import KEY, CleanRows
from job.data.keys import among
from job.errors import DataError, SettingsError
from job.models.trained import recorded_in
from job.runs.attempt import Attempt
from job.runs.predecessor import Predecessor
from job.settings import recorded
from job.stages.clean import EVERYTHING, Replay
from job.stages.encode import first_rows
from job.tasks.base import Task
from job.telemetry import event, warn

START = "start"
"""Of a data set's profile, where training was to go on from a champion: that `champion`, or, where it
begins from the base model after all, the `reason`."""
BASE = ("name", "revision", "config", "tokenizer")
"""The settings of MODEL that say which model is fine-tuned."""
HEAD = ("labels", "problem_type", "scheme")
"""What a task has found that a model's head is made for."""


@dataclass(frozen=True)
class Start:
    """What training begins from."""

    champion: Predecessor | None = None
    """None: the base model."""
    replay: Replay = EVERYTHING
    """What is trained on again of what the champion has learned from."""
    labels: tuple[str, ...] = ()
    """Those that are known beforehand, in order: the champion's, or the base model's."""

    @property
    def origin(self) -> dict[str, Any] | None:
        """What of it decides which rows are trained on; None for the base model."""
        if self.champion is None:
            return None
        known = len(self.replay.learned) > 0
        return {"champion": self.champion.version, "replay": self.replay.share, "known": known}

    @property
    def version(self) -> str | None:
        """The champion's."""
        return self.champion.version if self.champion else None

    def write_learned(self, path: Path) -> bool:
        """Write the file LEARNED; false where nothing was learned before, or nobody knows what."""
        if not len(self.replay.learned):
            return False
        with Writer(path) as writer:
            keys = pa.array(self.replay.learned)
            writer.write(pa.RecordBatch.from_arrays([keys], names=[KEY]))
        return True


def start_of(attempt: Attempt) -> Start:
    """What FINETUNE_TRAIN__FROM asks for, as far as it can be had; where not, the log says why.

    Raises:
        InputMissing, DataError: the champion is gone or damaged.
    """
    base = Start(labels=attempt.base.labels)
    if attempt.settings.train.from_ == "base":
        return base
    champion = attempt.champion
    if champion is None:
        event("training begins from the base model, on all rows", reason="there is no champion yet")
        return base
    if reason := _unlike(attempt, champion):
        return from_base(attempt, reason)
    known, replay = champion.lineage.rows, EVERYTHING
    if known is None:
        reason = "the data set that the champion was trained on is gone, or of an older release"
        warn("all rows are trained on", reason=reason)
    else:
        # another part each time, so that none is forgotten, and the same part for each attempt
        salt = blake2b(champion.version.encode(), digest_size=8).digest()
        share = attempt.settings.train.replay
        replay = Replay(known.trained, share, int.from_bytes(salt, "big"))
    event("training goes on from the champion", champion=champion.version)
    return Start(champion, replay, champion.trained.base.labels)


def from_base(attempt: Attempt, reason: str) -> Start:
    """The base model, where the champion was asked for."""
    warn(
        "training begins from the base model, on all rows, and not from the champion", reason=reason
    )
    return Start(labels=attempt.base.labels)


def counted(start: Start, rows: CleanRows) -> CleanRows:
    """The rows with a count for each of the champion's labels, also for those that none of them has: what
    it knows it need not be shown again."""
    splits = rows.profile["splits"]
    labels = splits["train"]["labels"]
    if start.champion is None or not labels:
        return rows
    train = {**splits["train"], "labels": {**dict.fromkeys(start.labels, 0), **labels}}
    return replace(rows, profile={**rows.profile, "splits": {**splits, "train": train}})


def shares(start: Start, rows: CleanRows) -> dict[str, int]:
    """How many of the training rows are `new` to the champion, and how many are `replayed`."""
    new = total = 0
    for batch in stream(rows.tables["train"]):
        new += int((~among(batch.column(KEY).to_numpy(), start.replay.learned)).sum())
        total += batch.num_rows
    if not new:
        warn("no row is new to the champion, which goes on with replayed rows alone", rows=total)
    return {"new": new, "replayed": total - new}


def other_labels(start: Start, task: Task, rows: CleanRows) -> str | None:
    """Why a champion's head is not one for these rows; None where it is, or there is no champion.

    Args:
        task: not fitted yet.
    """
    if start.champion is None:
        return None
    base = start.champion.trained.base
    counts = {str(split): rows.profile["splits"][split]["labels"] for split in rows.tables}
    learned = task.learned(base.config, {}, base.tokenizer).facts
    try:
        fitted = task.fitted(
            first_rows(rows.tables["train"]), counts, start.labels, base.tokenizer
        ).facts
    except DataError as error:
        return error.message
    if unknown := sorted({*fitted.get("labels", ())} - {*learned.get("labels", ())}):
        names = ", ".join(map(repr, unknown[:5]))
        return f"the champion does not know the labels {names} ({len(unknown)} in all)"
    differs = [name for name in HEAD if fitted.get(name) != learned.get(name)]
    return f"the champion has learned other {' and '.join(differs)}" if differs else None


def _unlike(attempt: Attempt, champion: Predecessor) -> str | None:
    """Why the champion is not one of the model that the settings name; None where it is."""
    try:
        trained = champion.trained
    except SettingsError as error:
        return error.message
    before = recorded_in(trained.base.place).get("model", {})
    now = recorded(attempt.settings)["model"]
    for name in BASE:
        if before and before.get(name) != now[name]:
            return (
                f"the champion was trained with FINETUNE_MODEL__{name.upper()}={before.get(name)!r}, "
                f"and it is {now[name]!r} now"
            )
    hashes = [models.tokenizer_sha256(base.tokenizer) for base in (trained.base, attempt.base)]
    return "the champion's tokenizer is not the base model's" if len({*hashes}) > 1 else None
