"""`finetune predict`: rows from the store, in files of predictions, each written whole or not at all.

Pods share the work without a word between them: pod i of n takes every n-th file. A file that is
there is never made again, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from job import models, tasks
from job.data.arrow import MappedTable
from job.data.artifacts import FILE, LINE, CleanRows, Inputs, RawRows, canonical_json
from job.errors import Absent, Conflict, SettingsError
from job.models.trained import Learned, find_learned
from job.runs.attempt import probed
from job.runs.record import inputs_from_json, inputs_to_json
from job.runs.results import Result
from job.runtime.device import StopSignal, scratch_folder
from job.settings import Clean, Data, Settings
from job.stages.clean import clean
from job.stages.fetch import fetch, resolve_inputs
from job.stages.predict import Parts, Predictor
from job.store import Store
from job.tasks.base import KEPT, Columns, Task
from job.telemetry import progress
from job.uris import join, mask


@dataclass(frozen=True)
class Questions:
    """The rules of rows without targets: the task's, with columns that are carried along."""

    task: Task
    keep: tuple[str, ...]

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of the task's roles but its targets, and those to keep."""
        roles = {r: c for r, c in self.task.columns.items() if r not in self.task.targets}
        return {**roles, **{KEPT + name: name for name in self.keep}}

    @property
    def text_roles(self) -> tuple[str, ...]:
        """The task's, without its targets."""
        return tuple(role for role in self.task.text_roles if role in self.columns)

    @property
    def verbatim_roles(self) -> tuple[str, ...]:
        """The task's."""
        return self.task.verbatim_roles

    def problems(self, rows: Columns) -> list[str | None]:
        """What the task finds wrong with a row that has some target."""
        return self.task.problems(self.task.completed(rows))

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """None."""
        return [[] for _ in next(iter(rows.values()))]


def run(settings: Settings, stop: StopSignal) -> Result:
    """Fetch, clean, predict; the last pod to finish writes the manifest.

    The files lie under `{name}/predictions/{run id, or fingerprint}/`.

    Raises:
        SettingsError: the run id belongs to other rows, settings or another model.
    """
    with scratch_folder(settings.runtime) as scratch:
        store = probed(settings)
        learned = find_learned(settings, scratch)
        settings, base = learned.settings, learned.base
        data = _data(settings)
        key, inputs = _frozen(store, learned, resolve_inputs(data))
        raw = fetch(data, inputs, scratch / "fetched", poll=stop.poll)
        task = tasks.predicting(learned.task).learned(base.config, {}, base.tokenizer)
        rows = _cleaned(settings, data, task, raw, scratch, stop)
        with suppress(Conflict):  # another pod's is the same
            store.put(f"{key}/quarantine.jsonl", rows.quarantine.read_bytes(), if_absent=True)
        table = MappedTable(rows.tables["test"])
        parts = Parts(store, key, settings.predict, len(table))
        if todo := parts.todo():
            model = models.load_learned(
                base.place, task, settings.model, base.tokenizer, settings.runtime
            )
            limits = base.limits(settings)
            predictor = Predictor(model, task, base.tokenizer, base.max_length, limits)
            with progress(settings.log, "predict", sum(parts.rows(n) for n in todo)) as bar:
                for number in todo:
                    part = table.slice(number * parts.size, parts.size)
                    parts.write(number, _joined(predictor.predict(part, poll=stop.poll), part, raw))
                    bar.advance(parts.rows(number), file=parts.name(number))
        done = parts.finish({"model": mask(base.place.name), "task": task.name})
        return Result(
            {
                "predictions": mask(join(store.uri, key)),
                "rows": len(table),
                "bad": rows.profile["splits"]["test"]["bad"],
                "files": f"{len(parts.names)}" if done else f"{len(todo)} of {len(parts.names)}",
            }
        )


def _data(settings: Settings) -> Data:
    """DATA, with the rows to predict for as the only ones."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("train", "validation", "train_target", "validation_target", "test_target"), ()
    )
    return settings.data.model_copy(
        update={**nothing, "test": settings.predict.input, "split_by": None}
    )


def _frozen(store: Store, learned: Learned, inputs: Inputs) -> tuple[str, Inputs]:
    """Where the predictions go, and the rows that the first pod found: all pods read the same.

    Raises:
        SettingsError: they were begun with other rows, settings or another model.
    """
    settings = learned.settings
    wanted = {"model": learned.base.place.identity, "shard_rows": str(settings.predict.shard_rows)}
    wanted |= {"format": settings.predict.format, "keep": json.dumps(settings.predict.keep)}
    identity = learned.identity(Inputs(()), "evaluate")
    name = settings.run_id or learned.identity(inputs, "evaluate", "predict")
    key = f"{settings.name}/predictions/{name}"
    mine = inputs_to_json(inputs, {**wanted, "identity": identity})
    try:
        before = json.loads(store.get(f"{key}/inputs.json"))
    except Absent:
        with suppress(Conflict):
            store.put(f"{key}/inputs.json", canonical_json(mine), if_absent=True)
        before = json.loads(store.get(f"{key}/inputs.json"))
    if before["model"] != mine["model"]:
        changed = [name for name, value in mine["model"].items() if before["model"][name] != value]
        raise SettingsError(
            f"the predictions {name} were begun with other settings ({', '.join(changed)})",
            hint="set them back, or give these predictions another FINETUNE_RUN_ID",
        )
    return key, inputs_from_json(before)


def _cleaned(
    settings: Settings, data: Data, task: Task, raw: RawRows, scratch: Path, stop: StopSignal
) -> CleanRows:
    """Every row that can be used: nothing is dropped, so that each has its prediction."""
    rules = Questions(task, settings.predict.keep)
    every: dict[str, Any] = {
        "drop_empty": False,
        "deduplicate": False,
        "sample": None,
        "sort_by": None,
    }
    every |= {"min_words": 0, "max_words": None}
    wanted: Clean = settings.clean.model_copy(update=every)
    folder = scratch / "cleaned"
    return clean(wanted, data, settings.seed, rules, raw, folder, poll=stop.poll)


def _joined(predictions: pa.Table, rows: MappedTable, raw: RawRows) -> pa.Table:
    """The predictions behind what tells their rows: file, line, and the columns that are kept."""
    files = [raw.files[number] for number in rows.column(FILE).tolist()]
    origin: dict[str, Any] = {"file": files, "line": pa.array(rows.column(LINE))}
    kept = {name: rows.table[name] for name in rows.names if name.startswith(KEPT)}
    origin |= {name.removeprefix(KEPT): column for name, column in kept.items()}
    own = {name: predictions[name] for name in predictions.column_names}
    return pa.table({**{k: v for k, v in origin.items() if k not in own}, **own})
