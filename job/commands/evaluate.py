"""`finetune evaluate`: a published model, ours or the Hub's, scored on any rows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from job import prepare
from job.errors import Absent
from job.models.trained import find_learned
from job.runs.attempt import probed
from job.runs.results import Result, headline
from job.runtime.scratch import scratch_folder
from job.runtime.stop import StopSignal
from job.settings import Settings, recorded
from job.stages.encode import Encoder, held_out
from job.stages.evaluate import evaluate
from job.stages.fetch import resolve_inputs
from job.store.commit import commit, load
from job.telemetry import event


def run(settings: Settings, stop: StopSignal) -> Result:
    """Fetch, clean, encode, score; or nothing, where the same was scored already.

    Rows are cleaned and held out as in a run: with the run's own DATA settings the scores are those
    of its eval_results.json. They lie under `{name}/evaluations/{fingerprint}/`.
    """
    with scratch_folder(settings.runtime) as scratch:
        store = probed(settings)
        inputs = resolve_inputs(settings.data)
        learned = find_learned(settings, scratch)
        settings, base = learned.settings, learned.base
        key = f"{settings.name}/evaluations/{learned.identity(inputs, 'evaluate')}"
        place = str(store.uri / key)
        try:
            scores = load(store, key).meta["results"]
            event("scored already", place=place)
            return _result(place, base.place.name, scores)
        except Absent:
            pass
        rows = prepare.rows(settings, learned.task, inputs, scratch)
        counts = {str(s): rows.profile["splits"][s]["labels"] for s in rows.tables if s != "train"}
        task = learned.task.learned(base.config, counts, base.tokenizer)
        encoder = Encoder(base.tokenizer, base.max_length, base.labels)
        dataset = held_out(rows, task, encoder, scratch / "dataset")
        scored = evaluate(
            *(settings.model, settings.runtime, task, base.tokenizer, base.place),
            *(dataset, base.limits(settings), scratch),
        )
        results = scored.results | task.signatures
        written = {
            "eval_results.json": results,
            "settings.json": recorded(settings),
            "profile.json": dataset.profile,
        }
        files = {"predictions.parquet": scored.predictions, "quarantine.jsonl": rows.quarantine}
        for name, value in written.items():
            files[name] = scratch / name
            files[name].write_text(json.dumps(value, indent=1, ensure_ascii=False))
        meta = {"task": task.name, "model": base.place.name, "results": results}
        # a writer's own number, so that two who score the same do not write the same files
        attempt = secrets.randbelow(10**9)
        found = commit(store, key, files, attempt=attempt, meta=meta, exists_ok=True)
        return _result(place, base.place.name, found.meta["results"])


def _result(place: str, model: str, scores: Mapping[str, Any]) -> Result:
    return Result({"model": model, "scores": place, **headline(scores)})
