"""An API server that answers late, or not at all for a while: nothing is lost, doubled or failed by it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from job.cluster import Cluster, Object
from job.errors import ClusterError
from job.launch import follow as following
from job.launch.follow import Workload
from job.monitors import reporting
from job.monitors.report import Milestone, Report
from job.runs.record import State
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.store import Store, open_store
from job.telemetry import figures, milestone
from tests.support.kubernetes_api import Api, api_server
from tests.support.relay import Relay, relay

TIMEOUT = 0.2
LATE = 3 * TIMEOUT
BODY: Object = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "run", "annotations": {"finetune/run-id": "r"}},
    "spec": {},
}
METHODS = ("GET", "POST", "PATCH")


@dataclass
class Slow:
    """An API server behind a relay that makes it slow, and a store."""

    api: Api
    between: Relay
    store: Store

    def late(self, times: int) -> None:
        """So many answers to each method come when nobody waits for them any more."""
        self.between.late = dict.fromkeys(METHODS, times)

    def annotations(self) -> dict[str, str]:
        """Those of the only Job."""
        return dict(self.api.one("jobs")["metadata"]["annotations"])


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Slow]:
    monkeypatch.setattr("job.cluster.TIMEOUT", TIMEOUT)
    with api_server() as api:
        host, _, port = api.url.removeprefix("http://").partition(":")
        with relay(host, int(port)) as between:
            api.url, between.seconds = between.url, LATE
            monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))
            yield Slow(api, between, open_store(str(tmp_path / "store")))


def test_what_is_answered_late_is_done_once(slow: Slow) -> None:
    slow.late(1)
    cluster = Cluster()
    created = cluster.create({**BODY, "metadata": dict(BODY["metadata"])})
    assert slow.api.one("jobs")["metadata"]["uid"] == created["metadata"]["uid"]
    slow.late(1)
    cluster.add_event(created, "Launched", "run")
    assert slow.api.events("run") == [("Launched", "run")]
    assert slow.api.asked.count("POST events") == 2, "asked again, and not shown again"


def test_the_end_of_a_run_comes_to_its_object(slow: Slow) -> None:
    Cluster().create({**BODY, "metadata": dict(BODY["metadata"])})
    progress = {"annotate": "batch/v1/jobs/run", "every_seconds": 0.05}
    settings = Settings.model_validate({"progress": progress})
    with reporting(settings, slow.store, "m/runs/r/progress.json", 1, StopSignal(30)):
        milestone("Started", "run")
        figures(step=23, total_steps=80)
        time.sleep(0.2)
        slow.late(2)
        milestone("Published", "m")
        figures(step=80, total_steps=80, model="s3://x", status="done")
    annotations = slow.annotations()
    assert (annotations["finetune/step"], annotations["finetune/model"]) == ("80", "s3://x")
    assert slow.api.events("run") == [("Started", "run"), ("Published", "m")]


def test_a_server_that_restarts_loses_no_message_and_fails_no_run(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = Cluster().create({**BODY, "metadata": dict(BODY["metadata"])})
    started = Report(1, {"step": 3}, (Milestone(1, "Started", "run", time.time()),))
    slow.store.put("m/runs/r/progress.json", started.json())
    done = State("r", outcome="done", step=8, result={"model": "s3://x"}, ended=time.time())

    def restart() -> None:
        slow.between.down = True
        slow.store.put("m/runs/r/state.json", json.dumps(asdict(done)).encode())
        complete = {"type": "Complete", "status": "True"}
        slow.api.one("jobs")["status"] = {"conditions": [complete]}
        time.sleep(1)
        slow.late(1)
        slow.between.down = False

    threading.Timer(0.3, restart).start()
    cluster = Cluster(attempts=2)  # so that requests fail while it is down
    workload = Workload(cluster, created, slow.store, "m", lambda *_: None)
    assert workload.follow(StopSignal(30), 0.05) == done
    assert slow.annotations()["finetune/status"] == "done"
    assert slow.api.events("run")[-1] == ("Published", "published, s3://x")

    monkeypatch.setattr(following, "PATIENCE", 0.1)
    slow.between.down = True
    with pytest.raises(ClusterError, match="does not answer"):
        workload.follow(StopSignal(30), 0.05)
