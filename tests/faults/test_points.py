"""Killed at every named point of a commit: before and after each kind of write, one after the other."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.faults.pods import Cluster
from tests.faults.proxy import Faults, FaultyProxy
from tests.faults.runs import differences, left, settings
from tests.support.servers import Server

POINTS = {
    "settings": r"/runs/r/settings\.json$",
    "inputs": r"/runs/r/inputs\.json$",
    "state": r"/runs/r/state\.json$",
    "a data set's file": r"/datasets/.*/train\.arrow$",
    "a data set's manifest": r"/datasets/[^/]*/manifest\.json$",
    "metrics": r"/runs/r/metrics-",
    "a checkpoint's tensors": r"/checkpoints/.*/rank-00000\.safetensors$",
    "a checkpoint's state": r"/checkpoints/.*/trainer_state\.json$",
    "a checkpoint's manifest": r"/checkpoints/[^/]*/manifest\.json$",
    "a model's card": r"/models/.*/README\.md$",
    "a model's weights": r"/models/.*/model\.safetensors$",
    "a model's manifest": r"/models/[^/]*/manifest\.json$",
}


class AtPoints:
    """Kills the pod of a cluster at each point once, before the write and after it."""

    def __init__(self) -> None:
        self.left = [(when, name) for name in POINTS for when in ("before", "after")]
        self.done: list[tuple[str, str]] = []
        self.cluster: Cluster | None = None

    def __call__(self, when: str, method: str, key: str) -> None:
        """Called by the proxy between the request and its answer."""
        if self.cluster is None or method != "PUT":
            return
        for point in self.left:
            if point[0] == when and re.search(POINTS[point[1]], key):
                self.left.remove(point)
                self.done.append(point)
                self.cluster.pods[0].kill(signal.SIGKILL)
                process = self.cluster.pods[0].process
                assert process is not None
                process.wait()  # its worker dies with it, before the answer would reach it
                return


@pytest.mark.slow
def test_a_kill_at_any_write_changes_nothing(
    s3_server: Server, bucket: str, tmp_path: Path
) -> None:
    given = {"TRAIN__MAX_STEPS": "60", "CHECKPOINT__EVERY_STEPS": "5"}
    Cluster(1, settings(tmp_path, bucket, "whole", **given), tmp_path).run()
    points = AtPoints()
    with FaultyProxy(s3_server.url, Faults(), watch=points) as proxy:
        env = settings(tmp_path, bucket, "killed", **given) | {"AWS_ENDPOINT_URL": proxy.url}
        points.cluster = Cluster(1, env, tmp_path)
        points.cluster.run(seconds=900)
    assert points.left == []
    whole, killed = (left(bucket, name, tmp_path) for name in ("whole", "killed"))
    assert differences(whole, killed) == [], points.done
    for words in ("damaged", "passed over"):
        assert not points.cluster.pods[0].said(words)
