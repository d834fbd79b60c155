"""Publish: the model, its card and its scores become a version in the store, whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from job.data.artifacts import LEARNED, Dataset
from job.errors import JobError
from job.models.quiet_imports import hub
from job.registry.versions import PUBLISHED, Version
from job.runtime.stop import poll
from job.stages.publish.release import Release
from job.stages.publish.verify import compare_outputs
from job.store import Store
from job.store.commit import fetch, seal, upload, withdraw
from job.tasks.base import Task
from job.telemetry import event, milestone

__all__ = ["PublishedVersion", "Release", "publish", "push_to_hub", "read_back"]


@dataclass(frozen=True)
class PublishedVersion:
    """A version that is in the store, and its files as they were read back."""

    version: Version
    folder: Path
    meta: Mapping[str, Any]
    """What its manifest says besides the files."""


def publish(
    release: Release, task: Task, dataset: Dataset, store: Store, scratch: Path
) -> PublishedVersion:
    """Upload the release, read it back, run it in a fresh process; then it becomes a version.

    Args:
        dataset: holds the text of the rows that predictions were made for.

    Raises:
        JobError: what was read back does not give the outputs that were scored; it is withdrawn.
    """
    files, version, facts = release.write(), release.version, release.facts
    if (learned := dataset.folder / LEARNED).exists():  # a data set may be removed, a version stays
        files[LEARNED] = learned
    poll()
    meta = {"run_id": facts.run_id, "task": task.name, PUBLISHED: time.time(), **release.provenance}
    total = sum(path.stat().st_size for path in files.values())
    event("uploading the version", version=version.name, files=len(files), bytes=total)
    manifest = upload(store, version.key, files, attempt=None, meta=meta)
    folder = scratch / "published"
    try:
        poll()
        event("reading the version back", version=version.name)
        fetch(store, version.key, folder, manifest=manifest)
        event("running the version in a fresh process, to compare its outputs with what was scored")
        place, predictions = replace(release.place, folder=folder), release.predictions
        rows, largest = compare_outputs(task, place, dataset, predictions, facts.max_length)
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
    return PublishedVersion(version, folder, meta)


def read_back(store: Store, version: Version, scratch: Path) -> PublishedVersion:
    """A version that was published by an earlier attempt, on this disk."""
    folder = scratch / "published"
    manifest = fetch(store, version.key, folder)
    return PublishedVersion(version, folder, manifest.meta)


def push_to_hub(repo: str, folder: Path) -> None:
    """Push the published files, as they were read back, to a private repository on the Hub.

    Raises:
        Forbidden, Unreachable, StoreError: the Hub's.
    """
    from job.store.hub import hub_errors

    with hub_errors(repo):
        api = hub().HfApi()
        api.create_repo(repo, exist_ok=True, private=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Fine-tuned model")
    event("pushed to the Hub", repo=repo)
