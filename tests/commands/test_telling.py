"""A person who moves the champion tells the webhook, and no secret of it is printed."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from job.commands import promote, rollback
from job.registry.versions import Version
from job.store import Store, open_store
from job.store.commit import commit
from tests.support.receiver import receiver

SECRET = "not for everybody, and long enough"


def publish(store: Store, scratch: Path, name: str) -> None:
    path = scratch / "config.json"
    path.write_text("{}")
    commit(store, Version.named("m", name).key, {"config.json": path}, attempt=None, meta={})


def test_promote_and_rollback_tell_and_are_not_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # the commands set up their own
    for name in [name for name in os.environ if name.startswith("FINETUNE_")]:
        monkeypatch.delenv(name)
    store = open_store(str(tmp_path / "store"))
    for name in ("r1-a1", "r2-a1"):
        publish(store, tmp_path, name)
    where = ["--output", str(store.uri), "--name", "m"]
    with receiver() as server:
        monkeypatch.setenv("FINETUNE_PUBLISH__WEBHOOK", f"{server.url}/a-path/to-somewhere")
        monkeypatch.setenv("FINETUNE_PUBLISH__WEBHOOK_SECRET", SECRET)
        assert promote.run(["r1-a1", *where]) == 0
        server.answers = [403]
        assert promote.run(["r2-a1", "--reason", "it is better", *where]) == 0
        assert rollback.run(where) == 0
    first, refused, back = (request.event["data"] for request in server.requests)
    assert (first["version"], first["action"]) == ("r1-a1", "promoted by hand")
    assert (refused["version"], refused["reason"]) == ("r2-a1", "it is better")
    assert (back["version"], back["action"]) == ("r1-a1", "rolled back")
    printed = "".join(capsys.readouterr())
    assert "the champion's change could not be told" in printed
    assert "answers HTTP 403" in printed
    for hidden in (SECRET, "a-path", "to-somewhere"):
        assert hidden not in printed
