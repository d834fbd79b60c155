"""Whether there is reason to train again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from job.errors import Conflict, Torn
from job.launch.decision import Launched, Record, decide
from job.runs.record import State
from job.settings import Launch
from job.store import open_store

LAST = Launched("ns-r-aaaaaaaa", "aaaaaaaabbbbbbbb")
DONE = State(LAST.run_id, outcome="done", ended=time.time() - 100)


def decided(
    last: Launched | None,
    state: State | None,
    identity: str = LAST.identity,
    existing: tuple[str, ...] = (LAST.run_id,),
    **settings: object,
) -> tuple[str, bool]:
    launch = Launch.model_validate(settings)
    decision = decide(last, state, f"ns-r-{identity[:8]}", identity, launch, existing)
    return decision.run_id, decision.skip


def test_the_first_time() -> None:
    assert decided(None, None, existing=()) == (LAST.run_id, False)


def test_nothing_changed_since_a_good_run() -> None:
    assert decided(LAST, DONE) == (LAST.run_id, True)


def test_something_changed() -> None:
    assert decided(LAST, DONE, identity="c" * 16) == ("ns-r-cccccccc", False)


def test_changed_back_to_what_was_once_trained_on_is_a_change_too() -> None:
    existing = (LAST.run_id, "ns-r-cccccccc", "ns-r-cccccccc-1")
    assert decided(LAST, DONE, identity="c" * 16, existing=existing) == ("ns-r-cccccccc-2", False)


@pytest.mark.parametrize("state", [None, State(LAST.run_id), State(LAST.run_id, failure={"a": 1})])
def test_a_run_that_has_not_ended_goes_on(state: State | None) -> None:
    assert decided(LAST, state) == (LAST.run_id, False)


def test_after_a_failed_run_comes_one_of_another_number() -> None:
    failed = Launched(LAST.run_id, LAST.identity, failure="BackoffLimitExceeded")
    assert decided(failed, State(LAST.run_id)) == (f"{LAST.run_id}-1", False)


def test_forced_and_too_old() -> None:
    assert decided(LAST, DONE, force=True) == (f"{LAST.run_id}-1", False)
    assert decided(LAST, DONE, max_age=50) == (f"{LAST.run_id}-1", False)
    assert decided(LAST, DONE, max_age=5000) == (LAST.run_id, True)


def test_of_two_launchers_one_goes_on(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    one, two = (Record(store, "m", "team", "r") for _ in range(2))
    one.write(LAST)
    with pytest.raises(Conflict, match="another launcher"):
        two.write(LAST)
    one.write(Launched("b", "c"))
    read = Record(store, "m", "team", "r").last
    assert read is not None
    assert (read.run_id, read.identity) == ("b", "c")
    assert Record(store, "m", "team", "other").last is None


def test_a_launch_is_amended_as_long_as_it_is_the_last(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    one, two = (Record(store, "m", "team", "r") for _ in range(2))
    one.write(Launched("a", "1", pending="a-1"))
    two.amend("a", failure="late")
    one.amend("a", pending="")
    assert one.last is not None
    assert (one.last.failure, one.last.pending) == ("late", ""), "what others wrote stays"
    two.amend("b", failure="another run's")
    two.write(Launched("b", "2"))
    one.amend("a", failure="of the run before")
    assert one.last == two.last


def test_a_record_of_another_release_is_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    key = "m/launches/team.r.json"
    store.put(key, b'{"run_id": "a", "identity": "1", "attempt_of_2031": 3}')
    read = Record(store, "m", "team", "r").last
    assert read == Launched("a", "1")
    for damaged in (b"", b"[]", b'{"run_id": "a"}', b"\xff"):
        store.put(key, damaged)
        with pytest.raises(Torn, match=r"team\.r\.json is not a record"):
            Record(store, "m", "team", "r")
