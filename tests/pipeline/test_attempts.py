"""A run that is ended, and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from job.store import open_store
from tests.pipeline.runs import settings, state_of
from tests.support.samples import ROOT, finetune, write_tickets


def test_killed_and_started_again_it_goes_on_and_a_stop_exits_143(
    model: Path, tmp_path: Path
) -> None:
    data = write_tickets(tmp_path / "rows.csv")
    env = settings(
        str(tmp_path / "store"), str(data), model, RUN_ID="r1", TRAIN__EPOCHS="400", CHECKPOINT__EVERY_STEPS="5",
        EVALUATE__EVERY_STEPS="100000", RUNTIME__TERMINATION_LOG=str(tmp_path / "termination-log"),
    )  # fmt: skip
    (tmp_path / "termination-log").touch()
    store = open_store(env["FINETUNE_OUTPUT"])

    def start_and_send(number: int, beyond: int) -> subprocess.Popen[bytes]:
        import os

        process = subprocess.Popen(
            [sys.executable, "-m", "job", "run"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (tmp_path / "store/m/runs/r1/state.json").exists() and int(
                str(state_of(store)["step"])
            ) > beyond:
                break
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(30)
        return process

    stopped = start_and_send(signal.SIGTERM, 0)
    assert stopped.returncode == 143
    assert json.loads((tmp_path / "termination-log").read_text())["error"] == "Stopped"
    first = state_of(store)
    assert first["stalled"] == 0
    step = int(str(first["step"]))
    assert step > 0
    again = start_and_send(signal.SIGTERM, step)
    assert again.stderr is not None
    assert f'"resumed", "step": {step}'.encode() in again.stderr.read()
    assert again.returncode == 143


def test_attempts_without_progress_end_with_82(model: Path, tmp_path: Path) -> None:
    data = write_tickets(tmp_path / "rows.csv")
    env = settings(str(tmp_path / "store"), str(data), tmp_path / "no-model", RUN_ID="r1")
    for _ in range(3):
        assert finetune("run", env=env, cwd=tmp_path).returncode == 66
    done = finetune("run", env=env, cwd=tmp_path)
    assert done.returncode == 82
    assert "3 attempts in a row" in done.stderr


@pytest.mark.slow
def test_a_push_that_failed_is_still_outstanding_at_the_next_start(
    model: Path, tmp_path: Path
) -> None:
    """The run is done; what is not done is not forgotten."""
    data = write_tickets(tmp_path / "rows.csv", 60)
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_token", "HF_HUB_OFFLINE": "0"}
    more = {"RUN_ID": "r1", "TRAIN__MAX_STEPS": "2", "PUBLISH__HUB_REPO": "organization/name"}
    env = settings(str(tmp_path / "out"), str(data), model, **more) | nobody
    for _ in range(2):
        done = finetune("run", env=env, cwd=tmp_path)
        assert done.returncode == 75, done.stderr
        assert "organization/name" in done.stderr
        state = json.loads((tmp_path / "out/m/runs/r1/state.json").read_text())
        assert (state["outcome"], state["outstanding"]) == ("done", ["push_to_hub"])
