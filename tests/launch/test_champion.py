"""The CronJob shows the champion, a move of it is an Event there once, and the webhook is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from job.cluster import CRONJOBS, Cluster
from job.launch.champion import show_champion
from job.registry import champion
from job.registry.champion import Champion, Move
from job.settings import Publish, Settings
from job.store import Store, open_store
from tests.support.kubernetes_api import NAMESPACE, Api, Body
from tests.support.receiver import receiver
from tests.support.samples import settings_of

NOW = time.time()


@pytest.fixture
def owner(api: Api) -> Body:
    metadata = {"name": "demo-finetune", "uid": "u", "annotations": {"mine": "kept"}}
    body = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": {}}
    where = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"
    api.objects[where, "demo-finetune"] = api.stamp(body)
    found = Cluster().get(CRONJOBS, "demo-finetune")
    assert found is not None
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def settings(**publish: Any) -> Settings:
    return settings_of(name="m", publish=Publish.model_validate(publish))


def moved(store: Store, change: Callable[[Champion], Champion]) -> None:
    champion.move(store, "m", change)


def judged(
    version: str, action: Any, at: float, reason: str = ""
) -> Callable[[Champion], Champion]:
    move = Move(version, action, reason=reason, at=at)
    return lambda before: champion.judged(before, move, None, None, before.spending)


def shown(api: Api) -> dict[str, str]:
    return dict(api.one("cronjobs")["metadata"]["annotations"])


def test_nothing_is_shown_before_there_is_a_champion(api: Api, owner: Body, store: Store) -> None:
    show_champion(Cluster(), owner, store, settings())
    assert shown(api) == {"mine": "kept"}
    assert "PATCH cronjobs" not in api.asked


def test_the_version_in_use_and_the_last_verdict(api: Api, owner: Body, store: Store) -> None:
    moved(store, judged("r1-a1", "promoted", 1787221800.0))
    show_champion(Cluster(), owner, store, settings())
    assert shown(api) == {
        "mine": "kept",
        "finetune/champion": "r1-a1",
        "finetune/champion-uri": f"{store.uri}/m/models/r1-a1",
        "finetune/champion-since": "2026-08-20T10:30:00Z",
    }
    assert api.events() == [], "that is long ago"
    moved(store, judged("r2-a1", "kept", NOW, "f1 is lower by 0.1"))
    for _ in range(2):
        show_champion(Cluster(), owner, store, settings())
    assert api.events("demo-finetune") == [("Kept", "r2-a1 kept: f1 is lower by 0.1")]
    assert shown(api)["finetune/champion"] == "r1-a1"
    moved(store, lambda before: champion.by_hand(before, "r2-a1", "we know better"))
    show_champion(Cluster(), owner, store, settings())
    assert api.events("demo-finetune")[-1] == (
        "PromotedByHand",
        "r2-a1 promoted by hand: we know better",
    )
    assert shown(api)["finetune/champion"] == "r2-a1"


def test_what_cannot_be_shown_or_told_fails_nothing(
    api: Api, owner: Body, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    moved(store, judged("r1-a1", "promoted", 1.0))
    with receiver() as server:
        server.answers = [403]
        told = settings(webhook=f"{server.url}/x", webhook_secret="0123456789abcdef01234567")
        show_champion(Cluster(), owner, store, told)
        ((reason, message),) = api.events("demo-finetune")
        assert reason == "WebhookFailed"
        assert "answers HTTP 403" in message
        api.forbidden.add("PATCH cronjobs")
        show_champion(Cluster(), owner, store, told)
    assert len(server.requests) == 2
    assert "the champion could not be shown at the CronJob" in caplog.text
