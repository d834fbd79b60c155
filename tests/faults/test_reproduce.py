"""Versions of every shape made again by `finetune reproduce`: the same SHA-256, whatever befell their runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from job.store import Store, layout, open_store
from tests.faults import runs
from tests.faults.pods import Cluster, Killer
from tests.support.samples import ROOT, finetune

FILL_MASK = {"TASK": "fill-mask", "TRAIN__MAX_STEPS": "12", "TRAIN__WHOLE_WORD_MASK": "true"}
SHAPES: dict[str, tuple[int, dict[str, str]]] = {
    "two-processes": (2, {}),
    "adapters": (1, {"MODEL__LORA": '{"dropout": 0.1}', "PUBLISH__MERGE": "false"}),
    "fill-mask": (1, FILL_MASK),
    "sharded": (2, {"TRAIN__STRATEGY": "fsdp"}),
    "sampled": (1, {"CLEAN__SAMPLE": "0.5", "TRAIN__BATCH_SIZE": "7"}),
}


def reproduced(env: dict[str, str], name: str, folder: Path) -> tuple[int, dict[str, Any]]:
    """Leave nothing of a model but its versions, and make its only one again, from a shell that sets
    other threads."""
    store: Store = open_store(env["FINETUNE_OUTPUT"])
    left = [o.key for o in store.list(f"{name}/") if not o.key.startswith(f"{name}/models/")]
    store.delete(left)
    (version,) = {o.key.split("/")[2] for o in store.list(f"{layout.versions(name)}/")}
    ours = {k: env[k] for k in ("FINETUNE_NAME", "FINETUNE_OUTPUT")}
    around = {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": ""}
    before = {o.key: o.identity for o in store.list(f"{name}/")}
    done = finetune("reproduce", version, "--json", env={**ours, **around}, cwd=folder, timeout=300)
    assert {o.key: o.identity for o in store.list(f"{name}/")} == before
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_bits(shape: str, bucket: str, tmp_path: Path) -> None:
    processes, more = SHAPES[shape]
    env = runs.settings(tmp_path, bucket, shape, **{"TRAIN__MAX_STEPS": "40", **more})
    Cluster(1, env, tmp_path, processes).run()
    code, told = reproduced(env, shape, tmp_path)
    assert (code, told["same"], told["circumstances"]) == (0, True, {})


@pytest.mark.slow
def test_a_run_that_was_killed_is_made_again_in_one_go(bucket: str, tmp_path: Path) -> None:
    env = runs.settings(tmp_path, bucket, "killed", TRAIN__MAX_STEPS="160")
    Cluster(1, env, tmp_path).run(Killer(2, 2, within=1.0))
    code, told = reproduced(env, "killed", tmp_path)
    assert (code, told["same"], told["earlier"]) == (0, True, {})


@pytest.mark.slow
def test_a_world_that_changed_on_the_way_is_said(bucket: str, tmp_path: Path) -> None:
    env = runs.settings(tmp_path, bucket, "changed", TRAIN__MAX_STEPS="160")
    cluster = Cluster(1, env, tmp_path)
    with cluster.up():
        cluster.until("checkpoint committed")
    Cluster(1, env, tmp_path, 2).run()
    code, told = reproduced(env, "changed", tmp_path)
    assert told["earlier"]["world"] == [1, 2]
    assert (code, told["same"]) == (65, False)
    assert "was resumed with something else (processes from 1 to 2, world from 1 to 2)" in str(
        told["summary"]
    )


@pytest.mark.slow
def test_a_stop_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    env = runs.settings(tmp_path, str(tmp_path / "store"), "stopped", TRAIN__MAX_STEPS="2")
    once = finetune("run", env=env, cwd=tmp_path)
    assert once.returncode == 0, once.stderr
    scratch = tmp_path / "scratch"
    around = {
        "PYTHONPATH": str(ROOT),
        "FINETUNE_NAME": "stopped",
        "FINETUNE_RUNTIME__SCRATCH": str(scratch),
    }
    around["FINETUNE_OUTPUT"] = env["FINETUNE_OUTPUT"]
    process = subprocess.Popen(
        [sys.executable, "-m", "job", "reproduce", "r-a1"],
        env={**os.environ, **around},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if '"message": "run"' in line:
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stderr.read()
    assert process.wait(60) == 143, rest
    assert "could not be trained again" in rest
    assert list(scratch.iterdir()) == []
