"""A run's record: progress, stops, and settings that belong to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from job.commands import status
from job.data.artifacts import Frozen, Input
from job.errors import Conflict, NoProgress, SettingsError, Torn
from job.runs.listing import state_of
from job.runs.record import PUSH, Run
from job.settings import Settings
from job.store import Store, layout, open_store
from job.store.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def opened(store: Store, **settings: Any) -> Run:
    return Run.open(store, "m", "r", Settings(**settings))


def test_an_attempt_that_only_finds_again_what_was_there_makes_no_progress(store: Store) -> None:
    """Killed at the first step for ever: the data set is found each time, and the bound holds."""
    for number in range(4):
        run = opened(store)
        if number == 3:
            break
        run.begin_attempt(3)
        run.progressed("encode")
    assert run.state.stalled == 2  # the first attempt made the data set
    run.begin_attempt(3)
    run.progressed("encode")
    with pytest.raises(NoProgress, match="3 attempts in a row"):
        opened(store).begin_attempt(3)


def test_steps_count_once(store: Store) -> None:
    run = opened(store)
    run.begin_attempt(3)
    run.progressed("train", 20)
    run = opened(store)
    run.begin_attempt(3)
    run.progressed("train", 10)
    assert (run.state.step, run.state.stalled) == (20, 1)
    run.progressed("train", 30)
    assert (run.state.step, run.state.stalled) == (30, 0)
    run.progressed("evaluate")
    assert (run.state.stage, run.state.step) == ("evaluate", 30)
    run.progressed("train", 40)
    assert run.state.stage == "evaluate"


def test_a_stop_is_no_failed_attempt(store: Store) -> None:
    for _ in range(9):
        run = opened(store)
        run.begin_attempt(3)
        run.stopped()
    assert run.state.attempt == 9


def test_an_attempt_that_was_overtaken_cannot_write(store: Store) -> None:
    first = opened(store)
    first.begin_attempt(0)
    second = opened(store)
    second.begin_attempt(0)
    with pytest.raises(Conflict):
        first.progressed("train", 1)
    second.progressed("train", 1)


def test_other_settings_are_refused_and_a_setting_of_another_release_is_none(store: Store) -> None:
    opened(store)
    with pytest.raises(SettingsError, match="seed: 42 there, 7 here"):
        opened(store, seed=7)
    stored = json.loads(store.get("m/runs/r/settings.json"))
    del stored["train"]["compile"]
    stored["train"]["forgotten"] = 1
    store.put("m/runs/r/settings.json", json.dumps(stored).encode())
    opened(store)


@pytest.mark.parametrize(
    ("section", "one", "other"),
    [
        ("train", {"class_weights": {"billing": 5}}, {"class_weights": {"delivery": 50}}),
        ("train", {"class_weights": {"a": 5}}, {"class_weights": {"a": 5, "b": 2}}),
        ("clean", {}, {"derive": {"text": "always the same"}}),
        ("clean", {"rename": {"body": "text"}}, {"rename": {"title": "text"}}),
        ("model", {"config": {"model_type": "gpt2"}}, {"config": {"model_type": "gpt2", "n_layer": 1}}),
    ],
)  # fmt: skip
def test_keys_of_the_users_own_belong_to_a_run(
    store: Store, section: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    opened(store, **{section: one})
    opened(store, **{section: one})
    with pytest.raises(SettingsError, match=rf"{section}\.\w+: .* there, .* here"):
        opened(store, **{section: other})


def test_a_setting_that_an_older_release_did_not_have_was_at_its_default(store: Store) -> None:
    opened(store)
    stored = json.loads(store.get("m/runs/r/settings.json"))
    del stored["encode"]["padding"]
    store.put("m/runs/r/settings.json", json.dumps(stored).encode())
    opened(store)
    with pytest.raises(SettingsError, match=r"encode\.padding: .dynamic. there, .max_length. here"):
        opened(store, encode={"padding": "max_length"})


def test_what_was_frozen_is_read_by_later_attempts(store: Store) -> None:
    run = opened(store)
    assert run.frozen() is None
    frozen = Frozen((Input("train", "s3://b/a.csv", 3, "etag:3"),), {"identity": "hub:c"})
    run.freeze(frozen)
    assert opened(store).frozen() == frozen


def test_how_an_attempt_ended_is_kept_until_the_next(store: Store) -> None:
    run = opened(store)
    run.begin_attempt(3)
    run.failed(SettingsError("no such thing at s3://key:secret@bucket/a", hint="look"))
    kept = opened(store)
    assert not kept.finished
    assert kept.state.failure["exit_code"] == 78
    assert "secret" not in kept.state.failure["message"]
    kept.begin_attempt(3)
    assert opened(store).state.failure == {}


def test_skips_are_counted_where_a_run_has_ended_well(store: Store) -> None:
    run = opened(store)
    run.begin_attempt(3)
    run.finish("done", {"model": "m/models/1"})
    for _ in range(2):
        opened(store).skipped()
    state = opened(store).state
    assert (state.outcome, state.skips, state.result) == ("done", 2, {"model": "m/models/1"})
    assert state.ended >= state.began


def test_a_newer_releases_fields_are_left_out(store: Store) -> None:
    run = opened(store)
    state = json.loads(store.get("m/runs/r/state.json"))
    store.put("m/runs/r/state.json", json.dumps({**state, "step": 7, "colour": "red"}).encode())
    run = opened(store)
    assert run.state.step == 7
    assert state_of(store, "m", "r") == run.state


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempt": "one"},
        {"attempt": None},
        {"step": [1]},
        {"stage": "dream"},
        {"stalled": "many"},
        {"result": 3},
        {"failure": "it failed"},
        {"outstanding": "push_to_hub"},
    ],
)
def test_a_state_that_is_not_one_is_named(store: Store, wrong: dict[str, Any]) -> None:
    opened(store)
    state = json.loads(store.get("m/runs/r/state.json"))
    store.put("m/runs/r/state.json", json.dumps({**state, **wrong}).encode())
    words = rf"m/runs/r/state\.json is not a record of this job \({next(iter(wrong))}: .*remove it"
    for action in (opened, lambda store: state_of(store, "m", "r")):
        with pytest.raises(Torn, match=words) as caught:
            action(store)
        assert caught.value.exit_code == 75


@pytest.mark.parametrize("content", [b"{", b"[1]", b"<html>", b"\xff", b"[" * 100_000, b"{}"])
@pytest.mark.parametrize("name", ["state.json", "settings.json"])
def test_a_damaged_record_is_named(store: Store, name: str, content: bytes) -> None:
    opened(store)
    store.put(f"m/runs/r/{name}", content)
    if (name, content) == ("settings.json", b"{}"):
        opened(store)  # no setting that both know differs
        return
    with pytest.raises(Torn, match=f"m/runs/r/{name} is not a record of this job"):
        opened(store)


def test_a_preparation_that_ends_well_does_not_count_as_stalled(store: Store) -> None:
    for _ in range(5):
        run = opened(store)
        run.begin_attempt(3)
        run.uncounted()
    assert (run.state.attempt, run.state.stalled) == (5, 0)


def test_what_is_outstanding_is_recorded_until_it_is_done(store: Store) -> None:
    run = opened(store)
    run.finish("done", {}, outstanding=[PUSH])
    assert opened(store).finished
    run = opened(store)
    assert list(run.state.outstanding) == [PUSH]
    run.settled(PUSH)
    assert list(opened(store).state.outstanding) == []


def test_a_lost_state_is_found_again_in_what_stands(store: Store) -> None:
    """No attempt's number is given twice: keys and versions bear it."""
    run = opened(store)
    for _ in range(3):
        run.begin_attempt(0)
    run.freeze(Frozen((), {}))
    checkpoints = layout.checkpoints(run.prefix)
    store.put(f"{layout.checkpoint(checkpoints, 20)}/manifest.json", b"{}")
    store.put(f"{layout.checkpoint(checkpoints, 30)}/a0004/rank-00000.safetensors", b"")
    store.put(layout.metrics(run.prefix, 2), b"")
    store.delete([run.key(layout.STATE)])
    found = opened(store).state
    assert (found.attempt, found.stage, found.step, found.outcome) == (4, "train", 20, None)
    store.put("m/models/r-a7/manifest.json", b"{}")
    store.delete([run.key(layout.STATE)])
    run = opened(store)
    run.begin_attempt(3)
    assert run.state.attempt == 8


@pytest.mark.parametrize("cut", [40, -2])
def test_a_record_that_the_store_cut_short_is_made_whole(store: Store, cut: int) -> None:
    """Whoever wrote it was killed before it noticed; what somebody else made of it is not touched."""
    run = opened(store)
    run.begin_attempt(3)
    frozen = Frozen((Input("train", "s3://b/a.csv", 3, "etag:3"),), {"identity": "hub:c"})
    run.freeze(frozen)
    store.put(layout.metrics(run.prefix, 1), b"")
    for name in ("state.json", "settings.json", "inputs.json"):
        store.put(f"m/runs/r/{name}", store.get(f"m/runs/r/{name}")[:cut])
    run = opened(store)
    assert run.state.attempt == 1
    with pytest.raises(Torn, match=r"inputs\.json is not a record") as caught:
        run.frozen()
    with pytest.raises(Torn):
        run.freeze(Frozen((), {}), caught.value)
    run.freeze(frozen, caught.value)
    again = opened(store)
    assert (again.frozen(), again.state) == (frozen, run.state)


def test_one_wrong_read_of_settings_refuses_nothing(store: Store, tmp_path: Path) -> None:
    run = opened(store)
    whole = store.get("m/runs/r/settings.json")
    answers = [whole.replace(b'"seed":42', b'"seed":43'), whole]
    other = type("Once", (FolderStore,), {"get": lambda self, key: answers.pop(0)})(tmp_path)
    assert Run.open(other, "m", "r", Settings()).state == run.state
    assert answers == []


def test_status_shows_every_run_that_it_can_read(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for run_id in ("a", "b", "c"):
        Run.open(store, "m", run_id, Settings())
    store.put("m/runs/b/state.json", b"<html>")
    state = json.loads(store.get("m/runs/c/state.json"))
    store.put("m/runs/c/state.json", json.dumps({**state, "began": 1.0, "colour": "red"}).encode())
    monkeypatch.setenv("FINETUNE_OUTPUT", str(tmp_path))
    monkeypatch.setenv("FINETUNE_NAME", "m")
    with pytest.raises(Torn, match=r"m/runs/b/state\.json is not a record"):
        status.run([])
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["run_id"] for line in shown] == ["c", "a", "b"], "oldest first"
    assert "state.json is not a record" in shown[2]["status"]
