"""Pods of a world as real processes: one that is killed comes back, and the others stay."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.faults.pods import Cluster
from tests.faults.runs import left, settings


@pytest.mark.slow
def test_a_pod_killed_in_a_world_comes_back_and_the_others_stay(tmp_path: Path) -> None:
    env = settings(tmp_path, str(tmp_path / "store"), "m", RUNTIME__MAX_STALLED_ATTEMPTS="3")
    killed: list[bool] = []

    def kill(cluster: Cluster) -> None:
        if not killed and cluster.pods[0].said('"step": 30, "best_step"'):
            killed.append(True)
            cluster.pods[1].kill(signal.SIGKILL)

    cluster = Cluster(2, env, tmp_path)
    cluster.run(kill)
    assert cluster.pods[0].codes == []
    assert cluster.pods[1].codes == [-signal.SIGKILL]
    run = left(str(tmp_path / "store"), "m", tmp_path)
    assert run.attempts == 2
    assert cluster.pods[0].said('"resumed"')


@pytest.mark.slow
def test_a_pod_that_comes_back_when_training_is_over_leaves_well(tmp_path: Path) -> None:
    """The checkpoint that the attempt began with may be pruned by then."""
    given = {"CHECKPOINT__KEEP": "1", "TRAIN__MAX_STEPS": "60", "PUBLISH__LICENSE": "mit"}
    env = settings(tmp_path, str(tmp_path / "store"), "m", **given)
    stopped: list[int] = []

    def stop(cluster: Cluster) -> None:
        first = cluster.pods[0]
        if not stopped and first.said('"step": 30, "best'):
            stopped.append(1)
            cluster.pods[1].kill(signal.SIGKILL)
        if len(stopped) == 1 and first.said('"best checkpoint taken"'):
            stopped.append(2)
            cluster.pods[1].kill(signal.SIGKILL)

    cluster = Cluster(2, env, tmp_path)
    cluster.run(stop)
    assert cluster.pods[0].codes == []
    assert left(str(tmp_path / "store"), "m", tmp_path).attempts == 2


@pytest.mark.slow
def test_waiting_in_vain_for_a_pod_is_no_attempt_without_progress(tmp_path: Path) -> None:
    env = settings(
        tmp_path,
        str(tmp_path / "store"),
        "m",
        RUNTIME__MAX_STALLED_ATTEMPTS="1",
        RUNTIME__PEER_WAIT="1",
    )
    cluster = Cluster(2, env, tmp_path)
    for _ in range(2):
        cluster.pods[0].start()
        assert cluster.pods[0].process is not None
        assert cluster.pods[0].process.wait(100) == 75
    assert cluster.pods[0].said("1 of 2 processes did not come within 1 s")
    state = json.loads((tmp_path / "store/m/runs/r/state.json").read_text())
    assert (state["attempt"], state["stalled"]) == (2, 0)
