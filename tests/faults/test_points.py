"""Killed at every named point of a commit: before and after each kind of write, one after the other."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from job.demo import tickets
from job.registry import champion
from job.registry.versions import Version
from job.store import open_store
from tests.faults.pods import Cluster
from tests.faults.proxy import Faults, FaultyProxy
from tests.faults.runs import differences, left, settings
from tests.support.receiver import receiver
from tests.support.samples import write_csv
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


SETTLED = {
    "a model's manifest": r"/models/r-[^/]*/manifest\.json$",
    "a part's rows": r"/gate/r-.*/rows\.arrow$",
    "a part's manifest": r"/gate/r-[^/]*/manifest\.json$",
    "the champion": r"/champion\.json$",
    "what was told": r"/announced\.json$",
}
"""From the end of training on, in this order."""


class AtPoints:
    """Kills the pod of a cluster at each point once, before the write and after it."""

    def __init__(self, points: Mapping[str, str]) -> None:
        self._points = points
        self.left = [(when, name) for name in points for when in ("before", "after")]
        self.done: list[tuple[str, str]] = []
        self.cluster: Cluster | None = None

    def __call__(self, when: str, method: str, key: str) -> None:
        """Called by the proxy between the request and its answer."""
        if self.cluster is None or method != "PUT":
            return
        for point in self.left:
            if point[0] == when and re.search(self._points[point[1]], key):
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
    points = AtPoints(POINTS)
    with FaultyProxy(s3_server.url, Faults(), watch=points) as proxy:
        env = settings(tmp_path, bucket, "killed", **given) | {"AWS_ENDPOINT_URL": proxy.url}
        points.cluster = Cluster(1, env, tmp_path)
        points.cluster.run(seconds=900)
    assert points.left == []
    whole, killed = (left(bucket, name, tmp_path) for name in ("whole", "killed"))
    assert differences(whole, killed) == [], points.done
    for words in ("damaged", "passed over"):
        assert not points.cluster.pods[0].said(words)


@pytest.mark.slow
def test_a_verdict_is_settled_once_wherever_its_run_is_killed(
    s3_server: Server, bucket: str, tmp_path: Path
) -> None:
    given = {"TRAIN__MAX_STEPS": "20", "PUBLISH__MARGIN": "0.9"}
    with receiver() as told:
        hook = {"PUBLISH__WEBHOOK": told.url, "PUBLISH__WEBHOOK_SECRET": "s" * 24}
        env = settings(tmp_path, bucket, "m", **given, **hook)
        Cluster(1, env | {"FINETUNE_RUN_ID": "first"}, tmp_path).run()
        write_csv(tmp_path / "rows.csv", tickets(400))
        points = AtPoints(SETTLED)
        with FaultyProxy(s3_server.url, Faults(), watch=points) as proxy:
            points.cluster = Cluster(1, env | {"AWS_ENDPOINT_URL": proxy.url}, tmp_path)
            points.cluster.run(seconds=600)
    assert points.left == []
    store = open_store(bucket)
    record, _ = champion.read(store, "m")
    moves = [(move.version, move.action) for move in record.history]
    assert moves == [("first-a1", "promoted"), (record.version, "promoted")]
    assert record.version is not None and record.version.startswith("r-a")
    assert list(record.gate) == ["first-a1", record.version]
    assert record.spending.looks == 1
    state = json.loads(store.get("m/runs/r/state.json"))
    assert (state["outcome"], state["result"]["champion"]) == ("done", record.version)
    scores = json.loads(store.get(f"{Version.named('m', record.version).key}/eval_results.json"))
    assert scores["gate_difference"] == record.history[-1].verdict["difference"]
    assert len({request.event["id"] for request in told.requests}) == 2
