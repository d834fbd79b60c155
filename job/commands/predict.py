"""`finetune predict`: rows from the store, in files of predictions, each written whole or not at all.

Pods share the work without talking to each other: pod i of n takes every n-th file. A file that is
in the store is never written again, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from job import prepare, tasks
from job.data.arrow import MappedTable
from job.data.artifacts import (
    FILE,
    LINE,
    CleanRows,
    Frozen,
    Inputs,
)
from job.errors import Absent, Conflict, SettingsError
from job.models.trained import TrainedModel, find_trained
from job.runs import identity
from job.runs.attempt import probed
from job.runs.results import Result
from job.runtime.scratch import scratch_folder
from job.runtime.stop import StopSignal
from job.scoring.inference import Inference
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.stages.predict import ORIGIN, Predictor, PredictRules, Shards, refuse_taken
from job.store import Store, layout
from job.store.records import read_record
from job.tasks.row_rules import KEPT, Readable
from job.telemetry import progress
from job.uris import Uri

NAME = "name"
"""In inputs.json: the model by its name; a champion by its version's."""


def run(settings: Settings, stop: StopSignal) -> Result:
    """Fetch, clean, predict; the last pod to finish writes the manifest.

    The files lie under `{name}/predictions/{run id, or fingerprint}/`.

    Raises:
        SettingsError: the run id belongs to other rows, settings or another model; or a column to be
            kept has a name that is taken.
    """
    refuse_taken(tasks.predicting(tasks.create(settings)), settings.predict.keep)
    with scratch_folder(settings.runtime) as scratch:
        store = probed(settings)
        trained, key, inputs = _begun(store, settings, scratch)
        base, settings = trained.base, trained.settings
        task = tasks.predicting(trained.task).learned(base.config, {}, base.tokenizer)
        rules = Readable(PredictRules(task, settings.predict.keep), base.tokenizer)
        rows = prepare.rows(settings, rules, inputs, scratch)
        with suppress(Conflict):  # another pod's is the same
            store.put(f"{key}/{layout.QUARANTINE}", rows.quarantine.read_bytes(), if_absent=True)
        shards = Shards(store, key, settings.predict, rows.rows["test"])
        missing = shards.missing()
        model = replace(trained, task=task)
        _write(shards, missing, model, rows)
        _write(shards, shards.torn(), model, rows, again=True)
        complete = shards.finish({"model": base.place.name, "task": task.name})
        count = len(shards.names)
        return Result(
            {
                "predictions": str(store.uri / key),
                "rows": rows.rows["test"],
                "bad": rows.profile["splits"]["test"]["bad"],
                "files": f"{count}" if complete else f"{len(missing)} of {count}",
            }
        )


def _write(
    shards: Shards,
    missing: list[int],
    trained: TrainedModel,
    rows: CleanRows,
    *,
    again: bool = False,
) -> None:
    """Predict for the rows of each file that is missing, and write it, `again` where it is torn."""
    if not missing:
        return  # the model need not be loaded
    settings, base = trained.settings, trained.base
    inference = Inference.load(
        settings, base.place, trained.task, base.tokenizer, base.limits(settings)
    )
    predictor = Predictor(inference, base.max_length)
    table = MappedTable(rows.tables["test"])
    with progress(settings.log, "predict", sum(shards.rows(n) for n in missing)) as bar:
        for number in missing:
            part = table.slice(number * shards.size, shards.size)
            predicted = _joined(predictor.predict(part), part, rows.files)
            shards.write(number, predicted, again=again)
            bar.advance(shards.rows(number), file=shards.names[number])


def _every_row(settings: Settings) -> Settings:
    """The settings for which every row to predict for is a test row, and none is dropped or moved:
    each gets its prediction, in order."""
    others = ("train", "validation", "train_target", "validation_target", "test_target")
    data: dict[str, Any] = {**dict.fromkeys(others, ()), "split_by": None}
    clean: dict[str, Any] = {"drop_empty": False, "deduplicate": False, "sample": None}
    clean |= {"sort_by": None, "min_words": 0, "max_words": None}
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(update={**data, "test": settings.predict.input}),
            "clean": settings.clean.model_copy(update=clean),
            "evaluate": settings.evaluate.model_copy(update={"slices": ()}),
        }
    )


def _begun(store: Store, settings: Settings, scratch: Path) -> tuple[TrainedModel, str, Inputs]:
    """The model, where the predictions go, and the inputs: as the first pod, or the first start, found
    them. All go on with the version that was the champion then.

    Raises:
        SettingsError: they were started with other rows, settings or another model.
    """
    before = _frozen(store, settings) if settings.model.name.of_champion else None
    trained = find_trained(_at_version(settings, before), scratch)
    trained = replace(trained, settings=_every_row(trained.settings))
    base, inputs = trained.base, resolve_inputs(trained.settings.data)
    name = settings.run_id or identity.predictions(trained.settings, inputs, base)
    key = layout.predictions(settings.name, name)
    model = _identities(trained)
    with suppress(Conflict):  # another pod's, or an earlier start's, is read below
        value = Frozen(inputs.files, {**model, NAME: base.place.name}).json()
        store.put(f"{key}/{layout.INPUTS}", value, if_absent=True)
    frozen, _ = read_record(store, f"{key}/{layout.INPUTS}", Frozen)
    overtaken = frozen.model.get(NAME) != base.place.name
    if overtaken and before is None and settings.model.name.of_champion:
        return _begun(store, settings, scratch)  # another pod came first, and a promotion between
    if changed := [part for part, value in model.items() if frozen.model.get(part) != value]:
        raise SettingsError(
            f"the predictions {name} were started with other settings ({', '.join(changed)})",
            hint="set them back, or give these predictions another FINETUNE_RUN_ID",
        )
    return trained, key, frozen.inputs


def _frozen(store: Store, settings: Settings) -> Frozen | None:
    """What the predictions of this id were begun with; None where there is nothing yet, or no id."""
    if settings.run_id is None:
        return None
    key = layout.predictions(settings.name, settings.run_id)
    try:
        return read_record(store, f"{key}/{layout.INPUTS}", Frozen)[0]
    except Absent:
        return None


def _at_version(settings: Settings, before: Frozen | None) -> Settings:
    """The settings, naming the version that predictions were begun with."""
    if before is None or NAME not in before.model:
        return settings
    model = settings.model.model_copy(update={"name": Uri(before.model[NAME])})
    return settings.model_copy(update={"model": model})


def _identities(trained: TrainedModel) -> dict[str, str]:
    """What must be the same for all pods and starts."""
    predict = trained.settings.predict
    return {
        "model": trained.base.place.identity,
        "shard_rows": str(predict.shard_rows),
        "format": predict.format,
        "keep": json.dumps(predict.keep),
        "identity": identity.predictor(trained.settings, trained.base),
    }


def _joined(predictions: pa.Table, rows: MappedTable, names: tuple[str, ...]) -> pa.Table:
    """The predictions, after the columns that identify their rows: file, line, and those to keep."""
    files = [names[number] for number in rows.column(FILE).tolist()]
    columns: dict[str, Any] = dict(zip(ORIGIN, (files, pa.array(rows.column(LINE))), strict=True))
    kept = {name: rows.table[name] for name in rows.names if name.startswith(KEPT)}
    columns |= {name.removeprefix(KEPT): column for name, column in kept.items()}
    return pa.table(columns | {name: predictions[name] for name in predictions.column_names})
