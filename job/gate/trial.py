"""A trial: the challenger and the best champion so far, put to the same rows of the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job import models
from job.data.arrow import MappedTable, stream
from job.data.artifacts import KEY, KEYS, ROW, Dataset
from job.errors import Absent, DataError, Torn
from job.gate.contender import Contender
from job.gate.growth import candidate
from job.gate.rows import judging
from job.gate.verdict import Trial
from job.models import Place
from job.registry.champion import Champion
from job.scoring.slices import scorer_of, slices
from job.settings import Settings
from job.settings.metrics import PER_TOKEN
from job.stages.clean.splits import HeldBack
from job.store import Store, layout
from job.store.commit import fetch
from job.tasks.scorers import Numbers
from job.tasks.types import Scored
from job.telemetry import event

TRAINED_ON = "trained on"
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
    """What a challenger is measured against."""

    version: str
    place: Place
    dataset: Path | None
    """The folder with the KEYS of what it was trained on; None where that is gone."""

    @classmethod
    def fetched(cls, store: Store, model: str, version: str, scratch: Path) -> Standard:
        """A published version.

        Raises:
            Absent, Torn: it is gone or damaged.
        """
        folder = scratch / "standard"
        manifest = fetch(store, layout.version(model, version), folder)
        dataset = None
        if fingerprint := manifest.meta.get("dataset"):
            dataset = scratch / "standard-keys"
            try:
                fetch(store, layout.dataset(model, str(fingerprint)), dataset, [KEYS])
            except (Absent, Torn):
                dataset = None
        return cls(version, models.find(str(folder), None, scratch), dataset)


def alone(settings: Settings, place: Place, dataset: Dataset, scratch: Path) -> Trial:
    """A challenger put to its own test rows, where there is no champion to be measured against."""
    challenger = Contender.open(settings, place, scratch)
    rows = _readable(Rows(MappedTable(candidate(dataset)).table, Counter()), challenger)
    scored = challenger.answers(rows.table, scratch / "challenger")
    metric, scorer = scorer_of(scored, challenger.task, settings.evaluate)
    if scorer is None:
        raise DataError(f"{metric} says nothing of the {len(rows.table)} test rows")
    parts = _parts(scored, challenger, settings)
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
    rows = _gate_rows(store, record, settings, scratch)
    for folder in filter(None, (dataset.folder, standard.dataset)):
        rows = rows.where(~_seen(folder, rows.table), TRAINED_ON)
    rows = _readable(_readable(rows, mine), theirs)
    event("asking both models the gate's rows", rows=len(rows.table), champion=standard.version)
    scored = mine.answers(rows.table, scratch / "challenger")
    metric, one = scorer_of(scored, mine.task, settings.evaluate)
    if metric in PER_TOKEN and not mine.reads_as(theirs):
        raise DataError(
            f"{metric} is a mean over tokens, and the champion reads other tokens",
            hint="choose another FINETUNE_EVALUATE__METRIC, or promote by hand",
        )
    two = theirs.task.scorer(theirs.answers(rows.table, scratch / "reference"), metric)
    if one is None or two is None or one.rows != two.rows:
        raise DataError(f"{metric} does not compare the two on these {len(rows.table)} rows")
    return Trial(one, two, standard.version, metric, _parts(scored, mine, settings), rows.left_out)


def _gate_rows(store: Store, record: Champion, settings: Settings, scratch: Path) -> Rows:
    """The rows of the record's gate that judge.

    Raises:
        DataError: there is none.
    """
    gate = judging(store, settings.name, record, settings, scratch)
    if gate is None or not gate.rows:
        why = (
            "".join(f", {count} {reason}" for reason, count in gate.left_out.items())
            if gate
            else ""
        )
        raise DataError(f"the gate holds no row that can judge{why}")
    return Rows(MappedTable(gate.cleaned.tables["test"]).table, Counter(gate.left_out))


def _readable(rows: Rows, contender: Contender) -> Rows:
    return rows.where(contender.reads(rows.table), UNREADABLE)


def _seen(folder: Path, rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows a model has trained on, or has chosen its checkpoint by."""
    keys = [batch.column(KEY).to_numpy() for batch in stream(folder / KEYS)]
    return HeldBack.of(keys, []).holds(rows.column(KEY).to_numpy(), None)


def _parts(scored: Scored, contender: Contender, settings: Settings) -> Mapping[str, Numbers]:
    """The rows of each slice, and of each part that has a floor, however few they are."""
    floors = settings.publish.floors
    names = [*settings.evaluate.slices, *(floor.partition("=")[0] for floor in floors)]
    if not names or ROW not in scored.table.names:
        return {}
    found = slices(names, scored.rows, contender.task, named=floors)
    shown = settings.evaluate.slices
    parts = {n: rows for n, rows in found.items() if n in floors or n.partition("=")[0] in shown}
    return parts | {floor: np.zeros(0, np.int64) for floor in floors if floor not in found}
