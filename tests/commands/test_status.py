"""`finetune status`: how a run stands, also while it waits, was stopped, or has nothing but a launcher."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from job.commands import status
from job.errors import InputMissing
from job.launch.queue import Waiting
from job.runs.record import Run, State
from job.settings import Settings
from job.store import Store, open_store

WAITING = Waiting("gpus", "2026-08-20T10:30:00Z", "ExceedsMaxQuota: 2 > 1")
AT = 1787221800.0  # 2026-08-20T10:30:00Z


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def printed(store: Store, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert status.run(["--output", str(store.uri), "--name", "m"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State("r"), "has not begun to train"),
        (State("r", preparations=1), "has not begun to train"),
        (State("r", attempt=1, step=7, written=AT), "attempt 1 runs, or was killed; it was at step 7 at 2026-08-20T10:30:00Z"),
        (State("r", attempt=1, stage="encode", written=AT), "attempt 1 runs, or was killed; it was in stage encode at 2026"),
        (State("r", attempt=2, stage="evaluate", step=247, stopped=AT), "stopped at step 247 by a signal at 2026-08-20T10:30:00Z; it goes on"),
        (State("r", attempt=3, failure={"message": "the rows are wrong"}), "attempt 3 failed: the rows are wrong"),
        (State("r", attempt=1, outcome="done", ended=AT), "done at 2026-08-20T10:30:00Z"),
    ],
)  # fmt: skip
def test_how_a_run_stands(
    store: Store, capsys: pytest.CaptureFixture[str], state: State, said: str
) -> None:
    store.put("m/runs/r/state.json", json.dumps(asdict(state)).encode())
    (line,) = printed(store, capsys)
    assert line["status"].startswith(said)
    assert line["step"] == state.step


def test_a_run_that_waits_says_why(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.put("m/runs/new/waiting.json", json.dumps(asdict(WAITING)).encode())
    store.put("m/runs/old/waiting.json", json.dumps(asdict(WAITING)).encode())
    state = State("old", attempt=1, stage="train", step=247, stopped=AT)
    store.put("m/runs/old/state.json", json.dumps(asdict(state)).encode())
    store.put("m/runs/old/checkpoints/state.json", b"not a run's")
    new, old = printed(store, capsys)
    assert (new["run_id"], new["status"]) == ("new", str(WAITING))
    assert old["status"] == f"stopped at step 247, {WAITING}"
    assert old["waiting"]["reason"] == WAITING.reason


def test_no_run_may_be_one_that_waits(store: Store) -> None:
    with pytest.raises(InputMissing, match="waits in a queue has not written anything yet"):
        status.run(["--output", str(store.uri), "--name", "m"])


def test_a_stop_is_recorded_until_the_next_attempt(store: Store) -> None:
    run = Run.open(store, "m", "r", Settings())
    run.begin_attempt(3)
    run.stopped()
    assert run.state.stopped > 0
    assert run.state.written >= run.state.stopped
    run.begin_attempt(3)
    assert run.state.stopped == 0


def test_a_preparation_is_no_attempt_but_is_bounded_like_one(store: Store) -> None:
    run = Run.open(store, "m", "r", Settings())
    run.begin_attempt(3, preparing=True)
    assert run.overtaken_by() is None
    other = Run.open(store, "m", "r", Settings())
    assert (other.state.attempt, other.state.preparations, other.state.stalled) == (0, 1, 1)
    other.uncounted()
    other.begin_attempt(3)
    assert (other.state.attempt, other.state.stalled) == (1, 1)
    assert run.overtaken_by() == "attempt 1", "what prepares ends when the training begins"
    run = Run.open(store, "m", "r", Settings())
    run.begin_attempt(3, preparing=True)
    assert other.overtaken_by() == "a preparation"
