"""An object in the cluster, followed to its end: what it leaves, and why it failed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from job.cluster import Cluster
from job.errors import RunFailed, Stopped
from job.launch.follow import Workload, report_of
from job.monitors.report import Milestone, Report
from job.runs.record import State
from job.runtime.stop import StopSignal
from job.store import Store, open_store
from tests.support.kubernetes_api import Api, api_server

REPORT = Report(1, {"step": 3}, (Milestone(1, "Started", "run"),))
DONE = State("r", outcome="done", result={"model": "s3://x"})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    with api_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "store"))
    store.put("m/runs/r/progress.json", REPORT.json())
    return store


def record(store: Store, state: State) -> None:
    store.put("m/runs/r/state.json", json.dumps(asdict(state)).encode())


def created(api: Api, *conditions: dict[str, Any]) -> Workload:
    """A Job in this condition."""
    cluster = Cluster()
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {}}
    workload = Workload(cluster, cluster.create(body))
    api.one("jobs")["status"] = {"conditions": list(conditions)}
    return workload


def follow(workload: Workload, store: Store, stop: StopSignal | None = None) -> State | None:
    return workload.follow(store, "m", "r", stop or StopSignal(30), 0.05)


def later(change: Callable[[], object]) -> None:
    """Do it when the workload is being followed."""

    def wait_and_change() -> None:
        time.sleep(0.3)
        change()

    threading.Thread(target=wait_and_change, daemon=True).start()


def test_a_run_that_ends_well_leaves_its_state_and_its_progress(api: Api, store: Store) -> None:
    record(store, DONE)
    workload = created(api)
    complete = {"type": "Complete", "status": "True"}
    later(lambda: api.one("jobs")["status"]["conditions"].append(complete))
    assert follow(workload, store) == DONE
    assert api.one("jobs")["metadata"]["annotations"] == {"finetune/step": "3"}
    assert api.events("a") == [("Started", "run")]


def test_a_failed_run_ends_with_what_it_recorded_itself(api: Api, store: Store) -> None:
    record(store, State("r", failure={"message": "the rows are wrong", "exit_code": 65}))
    workload = created(api, {"type": "Failed", "status": "True", "reason": "PodFailurePolicy"})
    with pytest.raises(RunFailed) as caught:
        follow(workload, store)
    message = "the rows are wrong [jobs/a failed (PodFailurePolicy)]"
    assert (caught.value.exit_code, caught.value.message) == (65, message)
    assert api.events("a")[-1] == ("RunFailed", message)


@pytest.mark.parametrize(
    ("reason", "code"),
    [("pod x failed with exit code 78 matching FailJob rule", 78), ("BackoffLimitExceeded", 82)],
)
def test_a_failed_run_that_recorded_nothing_ends_with_what_its_controller_says(
    reason: str, code: int, api: Api, store: Store
) -> None:
    workload = created(api, {"type": "Failed", "status": "True", "message": reason})
    with pytest.raises(RunFailed, match=reason) as caught:
        follow(workload, store)
    assert (caught.value.exit_code, caught.value.deleted) == (code, False)


def test_an_object_that_is_deleted_fails_the_run_unless_it_had_ended(
    api: Api, store: Store
) -> None:
    workload = created(api)
    later(api.objects.clear)
    with pytest.raises(RunFailed, match="jobs/a was deleted") as caught:
        follow(workload, store)
    assert caught.value.deleted
    record(store, DONE)
    assert follow(workload, store) == DONE, "and its object was removed since"


def test_a_stop_ends_the_following_and_not_what_is_followed(api: Api, store: Store) -> None:
    stop = StopSignal(30)
    workload = created(api)
    later(lambda: setattr(stop, "_since", time.monotonic()))
    with pytest.raises(Stopped):
        follow(workload, store, stop)
    assert api.one("jobs")["metadata"]["name"] == "a"


def test_progress_that_cannot_be_read_is_none(store: Store) -> None:
    assert report_of(store, "m", "r") == REPORT
    assert report_of(store, "m", "other") is None
    store.put("m/runs/broken/progress.json", b"{")
    assert report_of(store, "m", "broken") is None
