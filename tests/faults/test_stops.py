"""Stops of whole pods: nobody leaves before all has been committed, and nobody stays too long."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import pytest

from job.checkpoint.catalog import steps
from job.store import open_store
from tests.faults.pods import Cluster
from tests.faults.proxy import Faults, FaultyProxy
from tests.faults.runs import settings
from tests.support.servers import Server

NEVER = {"CHECKPOINT__EVERY_STEPS": "9999", "EVALUATE__EVERY_STEPS": "9999"}


@pytest.mark.parametrize(
    ("pods", "processes", "seconds"),
    [(2, 1, 2.0), pytest.param(1, 2, 11.0, marks=pytest.mark.slow)],
)
def test_a_stopped_world_ends_when_its_checkpoint_is_committed(
    pods: int, processes: int, seconds: float, s3_server: Server, bucket: str, tmp_path: Path
) -> None:
    """The first rank's upload takes longer than the others', and than they are waited for."""

    def slow(when: str, method: str, key: str) -> None:
        if when == "before" and key.endswith("trainer_state.json"):
            time.sleep(seconds)

    with FaultyProxy(s3_server.url, Faults(), watch=slow) as proxy:
        env = settings(tmp_path, bucket, "m", **NEVER) | {"AWS_ENDPOINT_URL": proxy.url}
        with Cluster(pods, env, tmp_path, processes).up() as cluster:
            cluster.until('"train", "done"')
            for pod in cluster.pods:
                pod.kill(signal.SIGTERM)
            assert cluster.codes() == [143] * pods, cluster.tail()
    store = open_store(bucket)
    (step,) = steps(store, "m/runs/r/checkpoints")
    state = json.loads(store.get("m/runs/r/state.json"))
    assert (state["step"], state["stalled"]) == (step, 0)
    store.delete([item.key for item in store.list("")])


def test_a_store_that_hangs_does_not_outlast_the_grace_period(
    s3_server: Server, bucket: str, tmp_path: Path
) -> None:
    log = tmp_path / "termination"
    log.touch()
    given = {"RUNTIME__GRACE_SECONDS": "5", "RUNTIME__TERMINATION_LOG": str(log), **NEVER}

    def hang(when: str, method: str, key: str) -> None:
        if when == "before" and "/checkpoints/" in key:
            time.sleep(600)

    with FaultyProxy(s3_server.url, Faults(), watch=hang) as proxy:
        env = settings(tmp_path, bucket, "m", **given) | {"AWS_ENDPOINT_URL": proxy.url}
        with Cluster(1, env, tmp_path).up() as cluster:
            cluster.until('"train", "done"')
            cluster.pods[0].kill(signal.SIGTERM)
            assert cluster.codes() == [143], cluster.tail()
    assert "grace period was nearly over" in log.read_text()
    store = open_store(bucket)
    store.delete([item.key for item in store.list("")])


@pytest.mark.parametrize("pod", [0, 1])
def test_a_pod_that_waits_for_another_is_stopped(pod: int, tmp_path: Path) -> None:
    cluster = Cluster(2, settings(tmp_path, str(tmp_path / "store"), "m"), tmp_path)
    alone = cluster.pods[pod]
    alone.start()
    if pod == 0:
        cluster.until('"message": "run"')
    time.sleep(1)
    alone.kill(signal.SIGTERM)
    assert cluster.codes() == [143], cluster.tail()
    if pod == 0:
        state = json.loads((tmp_path / "store/m/runs/r/state.json").read_text())
        assert (state["attempt"], state["stalled"]) == (1, 0)


@pytest.mark.slow
def test_the_second_of_two_pods_that_are_the_same_run_ends_the_first(tmp_path: Path) -> None:
    env = settings(tmp_path, str(tmp_path / "store"), "m", **NEVER, TRAIN__EPOCHS="9999")
    with Cluster(1, env, tmp_path).up() as first:
        first.until('"training"')
        with Cluster(1, env, tmp_path).up() as second:
            assert first.codes() == [75], first.tail()
            assert first.pods[0].said("attempt 2 of run r has begun")
            second.until('"training"')
            second.pods[0].kill(signal.SIGTERM)
            assert second.codes() == [143]


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    cluster = Cluster(2, settings(tmp_path, str(tmp_path / "store"), "m"), tmp_path)
    with socket.socket() as taken:
        taken.bind(("", cluster.port))
        taken.listen()
        cluster.pods[0].start()
        assert cluster.codes()[0] == 75
    assert cluster.pods[0].said("FINETUNE_RUNTIME__PORT")
