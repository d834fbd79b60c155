"""A run that goes on from the champion: what it is given, and that killing it changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from job.demo import tickets
from job.registry import champion
from job.store import Store, layout, open_store
from job.store.commit import fetch
from tests.support.runs import variables
from tests.support.samples import ROOT, finetune, tiny_bert, write_csv

ROWS = tickets(600)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, and a store with a champion of the first 300 rows and a later version."""
    folder = tmp_path_factory.mktemp("nights")
    tiny_bert(folder / "bert", [text for text, _ in ROWS])
    write_csv(folder / "data" / "a.csv", ROWS[:300])
    for name in ("first", "second"):
        ended = run(folder, name, SEED="1" if name == "first" else "2", TRAIN__FROM="base")
        assert ended.returncode == 0, ended.stderr
    promote(folder, "first-a1")
    write_csv(folder / "data" / "b.csv", ROWS[300:450])
    return folder


def env(folder: Path, name: str, **more: str) -> dict[str, str]:
    own = {
        "TRAIN__FROM": "champion",
        "TRAIN__LEARNING_RATE": "1e-3",
        "CHECKPOINT__EVERY_STEPS": "3",
        # which version is in use is for these tests to say
        "PUBLISH__GATE": "better",
        "PUBLISH__MIN_GAIN": "0.99",
    }
    return variables(folder, name, **{**own, **more})


def run(folder: Path, name: str, **more: str) -> subprocess.CompletedProcess[str]:
    return finetune("run", env=env(folder, name, **more), cwd=folder)


def store_of(folder: Path) -> Store:
    return open_store(str(folder / "store"))


def promote(folder: Path, version: str) -> None:
    champion.move(store_of(folder), "m", lambda record: champion.by_hand(record, version, "test"))


def weights(folder: Path, name: str, attempt: int = 1) -> bytes:
    version = layout.version("m", f"{name}-a{attempt}")
    return store_of(folder).get(f"{version}/model.safetensors")


def profile(folder: Path, name: str, attempt: int = 1) -> dict[str, Any]:
    store = store_of(folder)
    manifest = json.loads(store.get(f"{layout.version('m', f'{name}-a{attempt}')}/manifest.json"))
    place = folder / "fetched" / name
    fetch(store, layout.dataset("m", manifest["meta"]["dataset"]), place, [layout.PROFILE])
    found: dict[str, Any] = json.loads((place / layout.PROFILE).read_text())
    return found


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_from_the_champion_that_it_began_with(night: Path) -> None:
    whole = run(night, "whole")
    assert whole.returncode == 0, whole.stderr
    started = profile(night, "whole")["start"]
    assert started["champion"] == "first-a1"
    train = profile(night, "whole")["splits"]["train"]
    old = started["replayed"] + train["dropped"]["learned from before"]
    assert started["replayed"] / old == pytest.approx(0.2, abs=0.08)
    assert started["new"] + started["replayed"] == train["rows"]
    card = store_of(night).get(f"{layout.version('m', 'whole-a1')}/README.md").decode()
    assert f"went on from version first-a1, with {started['new']} rows" in card

    process = subprocess.Popen(
        [sys.executable, "-m", "job", "run"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env(night, "killed")},
        cwd=night,
        stderr=subprocess.DEVNULL,
    )
    state = night / "store/m/runs/killed/state.json"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if state.exists() and json.loads(state.read_text() or "{}").get("step", 0):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    promote(night, "second-a1")
    try:
        ended = run(night, "killed")
        assert ended.returncode == 0, ended.stderr
        assert '"resumed"' in ended.stderr
        assert weights(night, "killed", 2) == weights(night, "whole")
        later = run(night, "later")
        assert later.returncode == 0, later.stderr
        assert profile(night, "later")["start"]["champion"] == "second-a1"
        assert weights(night, "later") != weights(night, "whole")
    finally:
        promote(night, "first-a1")


@pytest.mark.slow
def test_where_it_cannot_go_on_it_begins_from_the_base_model_and_says_why(night: Path) -> None:
    new = write_csv(night / "more" / "c.csv", [(f"{text} again", "other") for text, _ in ROWS[:40]])
    both = json.dumps([str(night / "data" / "*.csv"), str(new)])
    ended = run(night, "label", DATA__TRAIN=both)
    assert ended.returncode == 0, ended.stderr
    said = "the champion does not know the labels 'other'"
    assert said in ended.stderr
    assert said in profile(night, "label")["start"]["reason"]
    assert "learned from before" not in profile(night, "label")["splits"]["train"]["dropped"]

    tiny_bert(night / "other", [text for text, _ in ROWS], seed=5)
    ended = run(night, "base", MODEL__NAME=str(night / "other"))
    assert ended.returncode == 0, ended.stderr
    assert "the champion was trained with FINETUNE_MODEL__NAME=" in ended.stderr
    assert "start" not in profile(night, "base")


@pytest.mark.slow
def test_a_label_that_no_row_has_is_kept_and_ranks_and_adapters_go_on_too(night: Path) -> None:
    """The new rows lack a class, none is replayed, and two processes train adapters on it."""
    lacking = [row for row in ROWS[300:600] if row[1] != "billing"]
    new = write_csv(night / "lacking" / "d.csv", lacking)
    both = json.dumps([str(night / "data" / "a.csv"), str(new)])
    more = {
        "DATA__TRAIN": both,
        "TRAIN__REPLAY": "0",
        "MODEL__LORA": "{}",
        "RUNTIME__PROCESSES": "2",
    }
    ended = run(night, "lacking", **more)
    assert ended.returncode == 0, ended.stderr
    assert "no new row has the labels" in ended.stderr
    version = layout.version("m", "lacking-a1")
    config = json.loads(store_of(night).get(f"{version}/config.json"))
    assert sorted(config["label2id"]) == ["billing", "delivery", "technical"]
    assert profile(night, "lacking")["splits"]["train"]["labels"]["billing"] == 0
    assert profile(night, "lacking")["start"]["replayed"] == 0
    results = json.loads(store_of(night).get(f"{version}/eval_results.json"))
    assert results["check_missing_labels"] > 0.2
    card = store_of(night).get(f"{version}/README.md").decode()
    assert "unlike those of the version in use" in card
