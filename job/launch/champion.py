"""The champion at the CronJob: which version is in use, as annotations, and the latest move as an Event."""

from __future__ import annotations

import time
from collections.abc import Mapping

from job.cluster import CRONJOBS, Cluster, Object
from job.errors import ClusterError, StoreError
from job.monitors.annotations import EVENT_SECONDS
from job.registry import champion
from job.registry.announcement import announce_champion
from job.registry.champion import Champion, Move
from job.registry.versions import Version
from job.settings import Settings
from job.store import Store, layout
from job.telemetry import warn
from job.text import moment


def show_champion(cluster: Cluster, owner: Object | None, store: Store, settings: Settings) -> None:
    """Show the champion at a CronJob, and tell the webhook of it, where nobody has.

    What cannot be shown or told is no reason to fail.
    """
    untold = announce_champion(settings.publish, store, settings.name)
    if owner is None:
        return
    try:
        current, _ = champion.read(store, settings.name)
        if annotations := annotations_of(current, store, settings.name):
            cluster.annotate(CRONJOBS, owner["metadata"]["name"], annotations)
        if current.history and time.time() - current.history[-1].at < EVENT_SECONDS:
            latest = current.history[-1]
            key = f"{latest.at} {latest.version}"  # of several launchers one shows it
            cluster.add_event(owner, reason_of(latest), said_of(latest), key=key)
        if untold:
            cluster.add_event(owner, "WebhookFailed", untold)
    except (ClusterError, StoreError) as error:
        warn("the champion could not be shown at the CronJob", reason=error.message[:300])


def annotations_of(current: Champion, store: Store, model: str) -> Mapping[str, str | None]:
    """Which version is in use, where it lies, and since when; nothing where there is none yet."""
    if current.version is None:
        return {}
    made = champion.changes(current)
    return {
        "finetune/champion": current.version,
        "finetune/champion-uri": str(store.uri / layout.version(model, current.version)),
        "finetune/champion-since": moment(made[-1].move.at) if made else None,
    }


def verdict_on(store: Store, model: str, run_id: str) -> Move | None:
    """The gate's verdict on the version of a run; None where there is none, or where it cannot be read."""
    try:
        moves = champion.read(store, model)[0].history
    except StoreError:
        return None
    judged = (m for m in reversed(moves) if m.action in ("promoted", "kept"))
    return next((m for m in judged if Version.named(model, m.version).run_id == run_id), None)


def reason_of(move: Move) -> str:
    """A move as the one word of an Event: Promoted, Kept, PromotedByHand, RolledBack."""
    return "".join(word.capitalize() for word in move.action.split())


def said_of(move: Move) -> str:
    """A move in an Event's words."""
    return f"{move.version} {move}"
