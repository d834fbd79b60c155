"""Others are told of each change of the champion at least once, by whoever comes next."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from job.registry import champion
from job.registry.announcement import announce_champion, change_of
from job.registry.champion import Champion, Move
from job.settings import Publish
from job.store import Store, open_store
from tests.support.receiver import Receiver, receiver

SECRET = f"whsec_{base64.b64encode(b'a key of more than 24 bytes').decode()}"


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as it:
        yield it


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "my models"))


def publish(server: Receiver) -> Publish:
    return Publish.model_validate({"webhook": f"{server.url}/hook", "webhook_secret": SECRET})


def moved(store: Store, *moves: Move) -> None:
    def decide(before: Champion) -> Champion:
        for move in moves:
            before = champion.judged(before, move, None, None, before.spending)
        return before

    champion.move(store, "spam", decide)


def test_a_promotion_is_told_once_and_a_verdict_that_kept_not_at_all(
    server: Receiver, store: Store
) -> None:
    assert announce_champion(publish(server), store, "spam") is None
    assert server.requests == [], "there is no champion yet"
    moved(store, Move("r1-a1", "promoted", reason="the first", at=1.5, verdict={"rows": 0}))
    for _ in range(2):
        assert announce_champion(publish(server), store, "spam") is None
    moved(store, Move("r2-a1", "kept", reason="worse", at=2.0))
    assert announce_champion(publish(server), store, "spam") is None
    (request,) = server.requests
    assert request.event["type"] == "finetune.champion.changed"
    assert request.event["subject"] == "r1-a1"
    assert request.event["time"] == "1970-01-01T00:00:01Z"
    assert " " not in request.event["source"]
    assert request.event["source"].endswith("/my%20models/spam")
    assert request.event["data"] == {
        "model": "spam",
        "version": "r1-a1",
        "uri": f"{store.uri}/spam/models/r1-a1",
        "previous": None,
        "action": "promoted",
        "reason": "the first",
        "verdict": {"rows": 0},
    }


def test_what_could_not_be_told_is_told_by_the_next_and_has_the_same_id(
    server: Receiver, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    moved(store, Move("r1-a1", "promoted", at=1.0))
    server.answers = [401, 204]
    why = announce_champion(publish(server), store, "spam")
    assert why is not None
    assert "answers HTTP 401" in why
    moved(store, Move("r2-a1", "kept", at=2.0))
    assert announce_champion(publish(server), store, "spam") is None
    refused, taken = (request.event for request in server.requests)
    assert refused == taken
    (record,) = (r for r in caplog.records if r.levelname == "WARNING")
    assert "could not be told" in record.getMessage()
    for hidden in (SECRET, SECRET.removeprefix("whsec_"), "/hook"):
        assert hidden not in caplog.text + why


def test_without_a_secret_nothing_is_told(server: Receiver, store: Store) -> None:
    moved(store, Move("r1-a1", "promoted", at=1.0))
    unsigned = Publish.model_validate({"webhook": server.url})
    why = announce_champion(unsigned, store, "spam")
    assert why is not None
    assert "FINETUNE_PUBLISH__WEBHOOK_SECRET is not set" in why
    assert server.requests == []


def test_of_moves_that_nobody_told_the_last_counts(server: Receiver, store: Store) -> None:
    moved(store, Move("r1-a1", "promoted", at=1.0), Move("r2-a1", "promoted", at=2.0))
    champion.move(store, "spam", lambda before: champion.rolled_back(before, "r1-a1", "bad"))
    announce_champion(Publish(), store, "spam")
    assert server.requests == []
    announce_champion(publish(server), store, "spam")
    (request,) = server.requests
    data = request.event["data"]
    assert (data["version"], data["previous"]) == ("r1-a1", "r2-a1")
    assert (data["action"], data["reason"]) == ("rolled back", "bad")


def test_a_move_while_another_is_told_is_told_after_it(
    server: Receiver, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(store, Move("r1-a1", "promoted", at=1.0))
    put, told = store.put, list[str]()

    def moving(key: str, data: bytes) -> str:
        """The champion moves again while the first move is being told."""
        told.append(key)
        if len(told) == 1:
            with monkeypatch.context() as original:
                original.setattr(store, "put", put)
                moved(store, Move("r2-a1", "promoted", at=2.0))
        return put(key, data)

    monkeypatch.setattr(store, "put", moving)
    announce_champion(publish(server), store, "spam")
    assert [request.event["subject"] for request in server.requests] == ["r1-a1", "r2-a1"]


def test_a_damaged_note_of_what_was_told_costs_one_more_telling(
    server: Receiver, store: Store
) -> None:
    moved(store, Move("r1-a1", "promoted", at=1.0))
    store.put("spam/announced.json", b"{")
    announce_champion(publish(server), store, "spam")
    announce_champion(publish(server), store, "spam")
    assert len(server.requests) == 1
    assert json.loads(store.get("spam/announced.json"))["id"] == server.requests[0].event["id"]


def test_a_person_who_confirms_the_champion_changes_nothing(store: Store) -> None:
    moved(store, Move("r1-a1", "promoted", at=1.0))
    one = change_of(champion.read(store, "spam")[0], store, "spam")
    champion.move(store, "spam", lambda before: champion.by_hand(before, "r1-a1", "good"))
    assert change_of(champion.read(store, "spam")[0], store, "spam") == one
