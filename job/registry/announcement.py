"""Telling others that another version has become the champion.

What was told last stands in the store. Whoever comes next (a run at its end or started again, a launcher, a
person's move) compares it with the champion's history and tells what is missing: so nothing is lost where
a process is killed between moving the champion and telling, or where whoever moved it knows no webhook.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from job.data.artifacts import fingerprint
from job.errors import Absent, NotDelivered, SettingsError, StoreError, Torn
from job.registry import champion
from job.registry.champion import Champion
from job.settings import Publish
from job.settings.rules.webhook import unusable
from job.store import Store, layout
from job.store.records import read_record
from job.telemetry import event, milestone
from job.text import moment
from job.webhook import CloudEvent, deliver

CHANGED = "finetune.champion.changed"
"""The event's type."""
MOST = 5
"""Changes that are told in a row, should they come while the one before is being told."""


@dataclass(frozen=True)
class Announced:
    """The event that was told last."""

    id: str


def announce_champion(settings: Publish, store: Store, model: str) -> str | None:
    """Tell FINETUNE_PUBLISH__WEBHOOK of the latest change of the champion, unless that was told before.

    It takes a minute at most where nobody answers, and never fails: the caller's own work is done.

    Returns:
        Why it could not be told; None where it was, or where there is nothing to tell, or nobody.
    """
    if not settings.webhook:
        return None
    try:
        if mistake := next(unusable(settings), None):
            raise SettingsError(mistake, hint="")
        _tell(settings, store, model)
    except (SettingsError, NotDelivered, StoreError) as error:
        milestone("WebhookFailed", f"the champion's change could not be told: {error}")
        return str(error)
    return None


def _tell(settings: Publish, store: Store, model: str) -> None:
    """
    Raises:
        NotDelivered: nobody listens.
        StoreError: what is to be told cannot be read, or what was told not written.
    """
    told = _told(store, model)
    for _ in range(MOST):
        change = change_of(champion.read(store, model)[0], store, model)
        if change is None or change.id == told:
            return
        deliver(change, settings.webhook, settings.signing_key)
        told = change.id
        store.put(layout.announced(model), json.dumps({"id": told}).encode())
        event("told of the champion", webhook=settings.webhook.server, version=change.subject)


def change_of(current: Champion, store: Store, model: str) -> CloudEvent | None:
    """The latest move that brought another version into use; None where there was none yet."""
    made = champion.changes(current)
    if not made:
        return None
    change, uri = made[-1], str(store.uri / model)
    return CloudEvent(
        id=fingerprint([uri, change.number, change.version, change.move.at]),
        source=quote(uri, safe=":/"),
        type=CHANGED,
        subject=change.version,
        time=moment(change.move.at),
        data={
            "model": model,
            "version": change.version,
            "uri": str(store.uri / layout.version(model, change.version)),
            "previous": change.previous,
            "action": change.move.action,
            "reason": change.move.reason,
            "verdict": dict(change.move.verdict),
        },
    )


def _told(store: Store, model: str) -> str | None:
    """The id of the event that was told last; what cannot be read counts as not told."""
    try:
        return read_record(store, layout.announced(model), Announced)[0].id
    except (Absent, Torn):
        return None
