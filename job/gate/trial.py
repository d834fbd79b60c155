"""A trial: the challenger and the best champion so far, put to the same rows of the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job import models
from job.data.arrow import MappedTable
from job.data.artifacts import ROW, Dataset
from job.errors import DataError
from job.gate.contender import Contender
from job.gate.growth import candidate
from job.gate.rows import GateRows, judging, learned
from job.gate.verdict import Part, Trial
from job.models import Place
from job.registry.champion import Champion
from job.scoring.slices import scorer_of, slices
from job.settings import Settings
from job.settings.metrics import OF_CLASSES, of_class
from job.store import Store, layout
from job.store.commit import fetch
from job.tasks.base import Task
from job.tasks.scorers import Numbers, Scorer
from job.tasks.types import Scored
from job.telemetry import event

UNREADABLE = "nothing that a tokenizer reads"
"""Why a row of the gate does not judge, beside the reasons of `job.gate.rows`."""


@dataclass(frozen=True)
class Rows:
    """Rows that judge, their roles as they were before text cleaning."""

    table: pa.Table
    left_out: Counter[str]

    def where(self, kept: npt.NDArray[np.bool_], reason: str) -> Rows:
        """Those that are kept; the others are counted under the reason."""
        left_out = self.left_out + Counter({reason: int((~kept).sum())})
        return Rows(self.table.filter(pa.array(kept)), left_out)


@dataclass(frozen=True)
class Standard:
    """What a challenger is measured against: a published version."""

    version: str
    place: Place
    dataset: str | None
    """The fingerprint of what it was trained on, where its manifest says it."""

    @classmethod
    def fetched(cls, store: Store, model: str, version: str, scratch: Path) -> Standard:
        """A version on this disk.

        Raises:
            Absent, Torn: it is gone or damaged.
        """
        folder = scratch / "standard"
        manifest = fetch(store, layout.version(model, version), folder)
        place = replace(models.find(str(folder), None, scratch), name=version)  # for messages
        return cls(version, place, manifest.meta.get("dataset"))


def alone(settings: Settings, place: Place, dataset: Dataset, scratch: Path) -> Trial:
    """A challenger put to its own test rows, where there is no champion to be measured against.

    Raises:
        DataError: they say nothing of it.
    """
    challenger = Contender.open(settings, place, scratch)
    rows = _readable(Rows(MappedTable(candidate(dataset)).table, Counter()), challenger)
    if not len(rows.table):
        raise DataError(f"the night has no test row that can judge{_reasons(rows.left_out)}")
    answers = challenger.answers(rows.table, scratch / "challenger")
    metric, scorer = scorer_of(answers, challenger.task, settings.evaluate)
    if scorer is None:
        raise DataError(f"{metric} says nothing of the {len(rows.table)} test rows")
    parts = _parts(metric, Answers(challenger.task, answers, scorer), None, settings)
    return Trial(scorer, None, None, metric, parts, rows.left_out)


def against(
    standard: Standard,
    challenger: tuple[Place, Dataset],
    record: Champion,
    settings: Settings,
    store: Store,
    scratch: Path,
) -> Trial:
    """A challenger beside the best champion so far.

    Args:
        challenger: the model, and what it was trained on.
        record: whose gate judges.

    Raises:
        DataError: the two cannot be compared.
        SettingsError: the champion was trained for another task.
        InputMissing: a part of the gate is gone.
    """
    place, dataset = challenger
    mine = Contender.open(settings, place, scratch / "mine")
    theirs = Contender.open(settings, standard.place, scratch / "theirs")
    data_sets = [name for name in (dataset.fingerprint, standard.dataset) if name]
    seen = learned(store, settings.name, data_sets, scratch)
    rows = _readable_by(
        judging(store, settings.name, record, settings, scratch, seen), mine, theirs
    )
    event("asking both models the gate's rows", rows=len(rows.table), champion=standard.version)
    answers = mine.answers(rows.table, scratch / "challenger")
    metric, one = scorer_of(answers, mine.task, settings.evaluate)
    if mine.task.counts_tokens(metric) and not mine.reads_as(theirs):
        raise DataError(
            f"{metric} counts tokens, and the champion makes others of the same text",
            hint="choose another FINETUNE_EVALUATE__METRIC, or promote by hand",
        )
    others = theirs.answers(rows.table, scratch / "reference")
    two = theirs.task.scorer(others, metric)
    if one is None or two is None or one.rows != two.rows:
        raise DataError(f"{metric} does not compare the two on these {len(rows.table)} rows")
    each = Answers(mine.task, answers, one), Answers(theirs.task, others, two)
    parts = _parts(metric, *each, settings)
    return Trial(one, two, standard.version, metric, parts, rows.left_out)


def _readable_by(gate: GateRows | None, *contenders: Contender) -> Rows:
    """The gate's rows that every contender can read.

    Raises:
        DataError: there is none.
    """
    if gate is None or not gate.rows:
        raise DataError(_nobody(gate.left_out if gate else {}))
    rows = Rows(MappedTable(gate.cleaned.tables["test"]).table, Counter(gate.left_out))
    for contender in contenders:
        rows = _readable(rows, contender)
    if not len(rows.table):
        raise DataError(_nobody(rows.left_out))
    return rows


def _nobody(left_out: Mapping[str, int]) -> str:
    return f"the gate holds no row that can judge{_reasons(left_out)}"


def _reasons(left_out: Mapping[str, int]) -> str:
    return "".join(f"; {count} {reason}" for reason, count in left_out.items() if count)


def _readable(rows: Rows, contender: Contender) -> Rows:
    return rows.where(contender.reads(rows.table), UNREADABLE)


@dataclass(frozen=True)
class Answers:
    """What a model makes of the rows that judge."""

    task: Task
    scored: Scored
    scorer: Scorer
    """By the metric that judges, over all of them."""


def _parts(
    metric: str, mine: Answers, theirs: Answers | None, settings: Settings
) -> dict[str, Part]:
    """Both models' answers to each slice, and to each part that has a floor, however few its rows are."""
    floors, shown = settings.publish.floors, settings.evaluate.slices
    names = [*shown, *(floor.partition("=")[0] for floor in floors)]
    if not names or ROW not in mine.scored.table.names:
        return {}
    found = slices(names, mine.scored.rows, mine.task, named=floors)
    wanted = [n for n in found if n in floors or n.partition("=")[0] in shown]
    nothing = np.zeros(0, np.int64)
    parts = {}
    for name in dict.fromkeys([*wanted, *floors]):
        rows = found.get(name, nothing)
        one = _part_of(mine, metric, name, rows)
        two = _part_of(theirs, metric, name, rows) if theirs else None
        parts[name] = Part(len(rows), one, two)
    return parts


def _part_of(answers: Answers, metric: str, name: str, rows: Numbers) -> Scorer | None:
    """A model's answers to a part. What is asked of the rows of one label by an average over the labels is
    that label's own figure, over all rows: among its own rows nothing can be taken for it wrongly."""
    kind, _, value = name.partition("=")
    if not len(rows):
        return None
    if kind == "label" and metric in OF_CLASSES:
        own = answers.task.scorer(answers.scored, of_class(metric, value))
        if own is not None:
            return own
    return answers.scorer.take(rows)
