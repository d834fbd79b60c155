"""The gate: a challenger is judged on frozen rows, and becomes the champion or does not.

`judge` comes before a version is published, since the verdict is published with it; `settle` comes
after, since only what is published may be in use. Between the two another run may move the
champion: then the challenger is judged anew by what stands there.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from job import models
from job.data.artifacts import Dataset
from job.errors import Absent, Conflict, DataError, SettingsError, Torn
from job.gate import rows as gate_rows
from job.gate.contender import Contender
from job.gate.verdict import Trial, Verdict, decide, not_comparable
from job.models import Place
from job.registry import champion
from job.registry.champion import TRIES, Champion, Move
from job.registry.versions import Version
from job.scoring.slices import slices
from job.settings import Settings
from job.settings.metrics import plain
from job.store import Store, layout
from job.store.commit import fetch
from job.tasks.scorers import Scorer
from job.telemetry import event, milestone, warn

__all__ = ["Challenger", "Judgement", "Verdict", "judge", "settle"]


@dataclass(frozen=True)
class Challenger:
    """A model that wants to be the champion."""

    version: Version
    """As it is, or will be, published."""
    place: Place
    settings: Settings
    dataset: Dataset
    """What it was trained on; its test rows may join the gate."""


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the record that it holds for."""

    verdict: Verdict
    record: Champion
    tag: str | None


def judge(challenger: Challenger, store: Store, scratch: Path) -> Judgement:
    """Measure a challenger against the best champion so far.

    Raises:
        Garbled, Unreachable, Forbidden: the champion cannot be read now.
        Torn: champion.json is damaged.
    """
    settings = challenger.settings
    record, tag = champion.read(store, settings.name)
    folder = scratch / "gate"
    shutil.rmtree(folder, ignore_errors=True)
    verdict = _verdict(challenger, record, store, folder)
    event("judged", **verdict.facts())
    return Judgement(verdict, record, tag)


def settle(challenger: Challenger, judgement: Judgement, store: Store, scratch: Path) -> Move:
    """Write a verdict into champion.json, and with a promotion let the night's test rows join the gate.

    Returns:
        What became of the challenger; what was settled by an earlier attempt stays.

    Raises:
        Conflict: others moved the champion first, each time.
    """
    for _ in range(TRIES):
        if before := settled(judgement.record, challenger.version):
            return before
        try:
            return _settle(challenger, judgement, store, scratch)
        except Conflict:
            event("the champion was moved meanwhile; the challenger is judged anew")
            judgement = judge(challenger, store, scratch)
    raise Conflict(
        f"{challenger.version.name} was judged {TRIES} times, and each time the champion was moved first"
    )


def settled(record: Champion, version: Version) -> Move | None:
    """What became of a version that was judged before."""
    judged = (move for move in record.history if move.version == version.name and move.verdict)
    return next(judged, None)


def _settle(challenger: Challenger, judgement: Judgement, store: Store, scratch: Path) -> Move:
    verdict, record = judgement.verdict, judgement.record
    name, model = challenger.version.name, challenger.settings.name
    best, part = record.best, None
    if verdict.promoted:
        found = verdict.comparison
        if found is None or found.difference > 0:
            best = name
        part = gate_rows.commit_part(store, model, name, challenger.dataset, record.gate, scratch)
    action = "promoted" if verdict.promoted else "kept"
    move = Move(name, action, reason=verdict.reason, at=time.time(), verdict=verdict.facts())
    after = champion.judged(record, move, best, part, verdict.spending)
    written = champion.write(store, model, after, judgement.tag)
    milestone(
        "Promoted" if verdict.promoted else "Kept",
        f"{verdict.kind}: {verdict.reason}",
        version=name,
        champion=written.version,
    )
    return written.history[-1]


def _verdict(challenger: Challenger, record: Champion, store: Store, scratch: Path) -> Verdict:
    settings, best = challenger.settings, record.best
    policy, metric = settings.publish, plain(settings.evaluate.metric or "")
    asks = policy.gate != "always" and best is not None
    if not asks and not policy.floors:
        kind, reason = ("first", FIRST) if best is None else ("always", ALWAYS)
        return unasked(kind, reason, metric, policy, record)
    mine = Contender.open(settings, challenger.place, scratch)
    try:
        theirs = _standard(settings, best, store, scratch) if asks and best else None
        trial = _trial(challenger, mine, theirs, record, store, scratch)
    except (Torn, Absent, DataError, SettingsError) as error:
        if not asks:
            raise
        warn("the best champion cannot be measured against", version=best, why=str(error))
        return unasked("not comparable", str(error), metric, policy, record)
    return decide(trial, policy, spending_of(record, policy))


def _trial(
    challenger: Challenger,
    mine: Contender,
    theirs: Contender | None,
    record: Champion,
    store: Store,
    scratch: Path,
) -> Trial:
    """Both models' answers to the rows that judge; where there is no champion, the challenger's to its own
    test rows.

    Raises:
        DataError: the two do not measure the same.
    """
    settings, dataset = challenger.settings, challenger.dataset
    gate = own_rows(dataset) if theirs is None else judging(store, settings, record, scratch)
    gate = gate.without(trained_on(dataset), "trained on")
    for contender in (mine, theirs):
        if contender is not None:
            gate = gate.where(contender.reads(gate.table), "unreadable")
    metric = plain(settings.evaluate.metric or mine.task.default_metric)
    one = mine.scorer(gate.table, metric, scratch / "challenger")
    if one is None and metric != mine.task.default_metric:
        metric = mine.task.default_metric
        one = mine.scorer(gate.table, metric, scratch / "challenger")
    if one is None:
        raise DataError(f"{metric} says nothing of the gate's {gate.rows} rows")
    two = None
    if theirs is not None:
        if not mine.measures_as(theirs, metric):
            raise DataError(
                f"{metric} is a mean over tokens, and the champion has others",
                hint="choose another FINETUNE_EVALUATE__METRIC, or promote by hand",
            )
        two = theirs.scorer(gate.table, metric, scratch / "reference")
    wanted = {*settings.evaluate.slices, *(name.partition("=")[0] for name in settings.publish.floors)}
    ...


def _standard(settings: Settings, version: str, store: Store, scratch: Path) -> Contender:
    """The best champion so far."""
    folder = scratch / "best"
    fetch(store, layout.version(settings.name, version), folder)
    return Contender.open(settings, models.find(str(folder), None, scratch), scratch)
