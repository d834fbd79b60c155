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

from job.data.artifacts import Dataset
from job.errors import Absent, Conflict, DataError, InputMissing, SettingsError, Torn
from job.gate.growth import candidate, commit_part
from job.gate.trial import Standard, against, alone
from job.gate.verdict import (
    ALWAYS,
    BY_HAND,
    FIRST,
    WITHDRAWN,
    Trial,
    Verdict,
    decide,
    spending_of,
    unasked,
)
from job.models import Place
from job.registry import champion
from job.registry.champion import TRIES, Champion, Move
from job.registry.versions import Version
from job.settings import Settings
from job.settings.metrics import plain
from job.store import Store
from job.telemetry import event, milestone, warn

__all__ = ["Challenger", "Judgement", "Verdict", "judge", "settle"]


@dataclass(frozen=True)
class Challenger:
    """A model that wants to be the champion."""

    version: Version
    """As it is, or will be, published."""
    place: Place
    settings: Settings
    dataset: Dataset | None
    """What it was trained on; its test rows may join the gate. None where that is gone."""


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
    record, tag = champion.opened(store, settings.name)
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
        part = _part(challenger, record, store, scratch)
    facts = verdict.facts()
    move = Move(name, verdict.decision, reason=verdict.reason, at=time.time(), verdict=facts)
    after = champion.judged(record, move, best, part, verdict.spending)
    written = champion.write(store, model, after, judgement.tag)
    milestone(
        "Promoted" if verdict.promoted else "Kept",
        f"{verdict.kind}: {verdict.reason}",
        version=name,
        champion=written.version,
    )
    return written.history[-1]


def _part(challenger: Challenger, record: Champion, store: Store, scratch: Path) -> str | None:
    """The night's test rows, which judge from the next night on."""
    dataset, settings = challenger.dataset, challenger.settings
    if dataset is None or not candidate(dataset).exists():
        return None
    return commit_part(store, settings, challenger.version.name, dataset, record.judging, scratch)


def _verdict(challenger: Challenger, record: Champion, store: Store, scratch: Path) -> Verdict:
    settings, best, dataset = challenger.settings, record.best, challenger.dataset
    policy, metric = settings.publish, plain(settings.evaluate.metric or "")
    if challenger.version.name in record.withdrawn:
        return unasked("withdrawn", WITHDRAWN, metric, policy, record)
    if challenger.version.name == record.version:  # it would be measured against itself
        return unasked("by hand", BY_HAND, metric, policy, record)
    asks = policy.gate != "always" and best is not None
    if not asks and not policy.floors:
        if best is None:
            return unasked("first", FIRST, metric, policy, record)
        return unasked("always", ALWAYS, metric, policy, record)
    if dataset is None:
        return unasked("not comparable", "its data set is gone", metric, policy, record)
    try:
        trial = _trial(challenger, dataset, best if asks else None, record, store, scratch)
    except (Torn, Absent, DataError, SettingsError, InputMissing) as error:
        warn("the challenger cannot be judged", champion=best, reason=str(error))
        return unasked("not comparable", str(error), metric, policy, record)
    return decide(trial, policy, spending_of(record, policy))


def _trial(
    challenger: Challenger,
    dataset: Dataset,
    best: str | None,
    record: Champion,
    store: Store,
    scratch: Path,
) -> Trial:
    """The challenger put to the gate's rows beside the best champion, or to its own test rows alone."""
    settings, place = challenger.settings, challenger.place
    if best is None:
        return alone(settings, place, dataset, scratch)
    standard = Standard.fetched(store, settings.name, best, scratch)
    return against(standard, (place, dataset), record, settings, store, scratch)
