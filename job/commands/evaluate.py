"""`finetune evaluate`: a published model, ours or the Hub's, scored on any rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from job import prepare
from job.data.artifacts import CleanRows
from job.models.trained import TrainedModel, find_trained
from job.runs import identity
from job.runs.attempt import probed
from job.runs.results import Result, existing
from job.runtime.scratch import scratch_folder
from job.runtime.stop import StopSignal
from job.scoring.inference import Inference
from job.settings import Settings, recorded
from job.settings.metrics import headline
from job.stages.encode import Encoder, held_out
from job.stages.evaluate import evaluate
from job.stages.fetch import resolve_inputs
from job.store import layout
from job.store.commit import commit, own_number
from job.tasks.row_rules import Readable
from job.telemetry import event


def run(settings: Settings, stop: StopSignal) -> Result:
    """Fetch, clean, encode, score; or nothing, where the same was scored already.

    Rows are cleaned and held out as in a run: with the run's own DATA settings the scores are those
    of its eval_results.json. They lie under `{name}/evaluations/{fingerprint}/`.
    """
    with scratch_folder(settings.runtime) as scratch:
        store = probed(settings)
        inputs = resolve_inputs(settings.data)
        trained = find_trained(settings, scratch)
        settings, model = trained.settings, trained.base.place.name
        key = layout.evaluation(settings.name, identity.evaluation(settings, inputs, trained.base))
        facts = {"model": model, "scores": str(store.uri / key)}
        if (before := existing(store, key)) is not None:
            event("scored already", place=facts["scores"])
            return Result({**facts, **headline(before.meta["results"])})
        rules = Readable(trained.task, trained.base.tokenizer)
        rows = prepare.rows(settings, rules, inputs, scratch)
        results, files = _scored(trained, rows, scratch)
        meta = {"task": settings.task, "model": model, "results": results}
        manifest = commit(store, key, files, attempt=own_number(), meta=meta, exists_ok=True)
        return Result({**facts, **headline(manifest.meta["results"])})


def _scored(
    trained: TrainedModel, rows: CleanRows, scratch: Path
) -> tuple[dict[str, Any], dict[str, Path]]:
    """What eval_results.json holds, and the files to commit by name."""
    settings, base = trained.settings, trained.base
    splits = rows.profile["splits"]
    counts = {str(split): splits[split]["labels"] for split in rows.tables if split != "train"}
    task = trained.task.learned(base.config, counts, base.tokenizer)
    encoder = Encoder(base.tokenizer, base.max_length, base.labels)
    dataset = held_out(rows, task, encoder, scratch / "dataset")
    limits = base.limits(settings)
    inference = Inference.load(settings, base.place, task, base.tokenizer, limits)
    scores = evaluate(inference, dataset, settings, scratch)
    results = scores.results | task.signatures
    documents = {
        layout.SCORES: results,
        layout.SETTINGS: recorded(settings),
        layout.PROFILE: dataset.profile,
    }
    files = {layout.PREDICTIONS: scores.predictions, layout.QUARANTINE: rows.quarantine}
    for name, value in documents.items():
        files[name] = scratch / name
        files[name].write_text(json.dumps(value, indent=1, ensure_ascii=False))
    return results, files
