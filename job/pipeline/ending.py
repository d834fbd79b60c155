"""How a run ends once its version is published: settled, recorded, told; also by a later attempt."""

from __future__ import annotations

import json
from pathlib import Path

from job import models
from job.errors import Absent, InputMissing, Torn
from job.gate import Challenger, judge, settle, settled
from job.registry import champion, versions
from job.registry.announcement import announce_champion
from job.registry.champion import Move
from job.runs import results
from job.runs.record import PUSH, Run
from job.runs.results import Result
from job.settings import Settings
from job.stages import encode
from job.stages.publish import PublishedVersion, push_to_hub, read_back
from job.store import layout
from job.telemetry import figures, warn


def finish(settings: Settings, record: Run, published: PublishedVersion, move: Move) -> Result:
    """The last of it: the outcome in the run's state, and the files on the Hub where that is wanted of a
    version that is in use."""
    scores = json.loads((published.folder / layout.SCORES).read_text())
    summary = results.summary(record.store, published.version.key, scores)
    result = Result({**summary, "gate": str(move), "champion": move.champion})
    figures(status="done", eta_seconds=None, **result.facts)
    repo = settings.publish.hub_repo if move.action == "promoted" else None
    record.finish("done", result.facts, outstanding=[PUSH] if repo else [])
    announce_champion(settings.publish, record.store, settings.name)
    if repo:
        push_to_hub(repo, published.folder)
        record.settled(PUSH)
    return result


def published_before(settings: Settings, record: Run, scratch: Path) -> PublishedVersion | None:
    """The version that an earlier attempt at the run has published, read back whole, if there is one.

    Raises:
        Garbled: one is whole in the store, and arrives damaged.
    """
    for version in versions.of_run(record.store, settings.name, record.state.run_id):
        try:
            return read_back(record.store, version, scratch)
        except (Torn, Absent) as error:
            warn("a published version is damaged", version=version.name, reason=error.message)
    return None


def settled_before(
    settings: Settings, record: Run, published: PublishedVersion, scratch: Path
) -> Move:
    """What became of a version that an earlier attempt has published; where that was ended before it was
    settled, it is judged now."""
    store, version = record.store, published.version
    before, _ = champion.read(store, settings.name)
    if move := settled(before, version):
        return move
    fingerprint = published.meta.get("dataset")
    dataset = None
    if fingerprint:
        key = layout.dataset(settings.name, fingerprint)
        dataset = encode.find(store, key, scratch / "dataset")
    place = models.find(str(published.folder), None, scratch)
    challenger = Challenger(version, place, settings, dataset)
    return settle(challenger, judge(challenger, store, scratch), store, scratch)


def make_up(settings: Settings, record: Run, scratch: Path) -> None:
    """What the attempt that finished the run could not do after that: tell of the champion, push to the Hub.

    Raises:
        InputMissing: the version that is to be pushed is gone or damaged.
    """
    announce_champion(settings.publish, record.store, settings.name)
    repo = settings.publish.hub_repo
    if PUSH not in record.state.outstanding or not repo:
        return
    published = published_before(settings, record, scratch)
    if published is None:
        raise InputMissing(
            f"run {record.state.run_id}: no whole version is left to push to {repo}",
            hint="unset FINETUNE_PUBLISH__HUB_REPO, or train again under another FINETUNE_RUN_ID",
        )
    push_to_hub(repo, published.folder)
    record.settled(PUSH)
