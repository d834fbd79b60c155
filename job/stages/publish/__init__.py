"""Publish: the model, its card and its scores become a version in the store, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from job.data.artifacts import Dataset
from job.errors import JobError
from job.models import Place
from job.models.libraries import hub
from job.registry.versions import Version
from job.reporting.card import Facts, write_card
from job.runtime.stop import poll
from job.stages.publish.verify import compare
from job.store import Store
from job.store.commit import fetch, seal, upload, withdraw
from job.tasks.base import Task
from job.telemetry import event, milestone


@dataclass(frozen=True)
class Published:
    """A version that is in the store, and its files as they were read back."""

    version: Version
    folder: Path


def publish(
    task: Task,
    store: Store,
    version: Version,
    place: Place,
    predictions: Path,
    dataset: Dataset,
    results: Mapping[str, Any],
    facts: Facts,
    history: list[dict[str, Any]],
    scratch: Path,
) -> Published:
    """Upload the model's folder, read it back, run it in a fresh process; then it becomes a version.

    Args:
        place: config, safetensors and tokenizer; the card and the rest are added to its folder.
        predictions: what the evaluate stage wrote.
        dataset: holds the text of the rows that predictions were made for.
        results: what eval_results.json holds.
        facts: what the card says.
        history: the metrics of every step.

    Raises:
        JobError: what was published does not give the outputs that were scored; it is removed.
    """
    folder = place.folder
    (folder / "eval_results.json").write_text(json.dumps(dict(results), indent=1))
    if predictions.exists():
        shutil.copyfile(predictions, folder / "predictions.parquet")
    (folder / "settings.json").write_text(json.dumps(facts.settings, indent=1, ensure_ascii=False))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in history))
    write_card(folder / "README.md", facts, results)
    files = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
    meta = {"run_id": facts.run_id, "task": task.name}
    poll()
    manifest = upload(store, version.key, files, attempt=None, meta=meta)
    back = scratch / "published"
    try:
        poll()
        fetch(store, version.key, back, manifest=manifest)
        here = replace(place, folder=back)
        rows, largest = compare(task, here, dataset, predictions, facts.max_length)
    except JobError:
        withdraw(store, version.key)
        raise
    seal(store, version.key, manifest)
    milestone(
        "Published",
        "published and read back",
        version=version.name,
        rows_compared=rows,
        largest_difference=float(f"{largest:.2g}"),
    )
    return Published(version, back)


def read_back(store: Store, version: Version, scratch: Path) -> Published:
    """A version that was published, on this disk."""
    fetch(store, version.key, scratch / "published")
    return Published(version, scratch / "published")


def push(repo: str, folder: Path) -> None:
    """Push the published files to the Hub, as they were read back, to a private repository."""
    from job.store.hub import hub_errors

    with hub_errors(repo):
        api = hub().HfApi()
        api.create_repo(repo, exist_ok=True, private=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Fine-tuned model")
    event("pushed to the Hub", repo=repo)
