"""`finetune predict`: rows from the store, in files of predictions, each written whole or not at all.

Pods share the work without a word between them: pod i of n takes every n-th file. A file that is
there is never made again, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa

from job import models, prepare, tasks
from job.data.arrow import MappedTable
from job.data.artifacts import (
    FILE,
    LINE,
    CleanRows,
    Inputs,
    canonical_json,
    inputs_from_json,
    inputs_to_json,
)
from job.errors import Absent, Conflict, SettingsError
from job.models.trained import Learned, find_learned
from job.runs.attempt import probed
from job.runs.results import Result
from job.runtime.scratch import scratch_folder
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.stages.predict import Parts, Predictor
from job.stages.predict.rules import Questions
from job.store import Store
from job.tasks.rules import KEPT
from job.telemetry import progress
from job.uris import join, mask


def run(settings: Settings, stop: StopSignal) -> Result:
    """Fetch, clean, predict; the last pod to finish writes the manifest.

    The files lie under `{name}/predictions/{run id, or fingerprint}/`.

    Raises:
        SettingsError: the run id belongs to other rows, settings or another model.
    """
    with scratch_folder(settings.runtime) as scratch:
        store = probed(settings)
        learned = find_learned(settings, scratch)
        base, task = learned.base, tasks.predicting(learned.task)
        task = task.learned(base.config, {}, base.tokenizer)
        asked = _every_row(learned.settings)
        key, inputs = _frozen(store, learned, resolve_inputs(asked.data))
        rows = prepare.rows(asked, Questions(task, asked.predict.keep), inputs, scratch)
        with suppress(Conflict):  # another pod's is the same
            store.put(f"{key}/quarantine.jsonl", rows.quarantine.read_bytes(), if_absent=True)
        parts = Parts(store, key, asked.predict, rows.rows["test"])
        todo = parts.todo()
        _write(parts, todo, replace(learned, task=task), rows)
        done = parts.finish({"model": mask(base.place.name), "task": task.name})
        return Result(
            {
                "predictions": mask(join(store.uri, key)),
                "rows": rows.rows["test"],
                "bad": rows.profile["splits"]["test"]["bad"],
                "files": f"{len(parts.names)}" if done else f"{len(todo)} of {len(parts.names)}",
            }
        )


def _write(parts: Parts, todo: list[int], learned: Learned, rows: CleanRows) -> None:
    """Predict for the rows of each file that is missing, and write it."""
    if not todo:
        return  # the model need not be loaded
    settings, base, task = learned.settings, learned.base, learned.task
    model = models.load_learned(base.place, task, settings.model, base.tokenizer, settings.runtime)
    limits = base.limits(settings)
    predictor = Predictor(model, task, base.tokenizer, base.max_length, limits)
    table = MappedTable(rows.tables["test"])
    with progress(settings.log, "predict", sum(parts.rows(n) for n in todo)) as bar:
        for number in todo:
            part = table.slice(number * parts.size, parts.size)
            parts.write(number, _joined(predictor.predict(part), part, rows.files))
            bar.advance(parts.rows(number), file=parts.name(number))


def _every_row(settings: Settings) -> Settings:
    """The settings with the rows to predict for as the only ones, and nothing that drops one of them
    or moves it: each has its prediction, in order."""
    others = ("train", "validation", "train_target", "validation_target", "test_target")
    data: dict[str, Any] = {**dict.fromkeys(others, ()), "split_by": None}
    clean: dict[str, Any] = {"drop_empty": False, "deduplicate": False, "sample": None}
    clean |= {"sort_by": None, "min_words": 0, "max_words": None}
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(update={**data, "test": settings.predict.input}),
            "clean": settings.clean.model_copy(update=clean),
        }
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


def _joined(predictions: pa.Table, rows: MappedTable, names: tuple[str, ...]) -> pa.Table:
    """The predictions behind what tells their rows: file, line, and the columns that are kept."""
    files = [names[number] for number in rows.column(FILE).tolist()]
    origin: dict[str, Any] = {"file": files, "line": pa.array(rows.column(LINE))}
    kept = {name: rows.table[name] for name in rows.names if name.startswith(KEPT)}
    origin |= {name.removeprefix(KEPT): column for name, column in kept.items()}
    own = {name: predictions[name] for name in predictions.column_names}
    return pa.table({**{k: v for k, v in origin.items() if k not in own}, **own})
