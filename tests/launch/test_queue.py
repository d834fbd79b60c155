"""A run that waits in a queue: since when, and the queue's own reason, wherever people look."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from job.cluster import Cluster
from job.errors import RunFailed, Stopped
from job.launch import follow as following
from job.launch.follow import Workload
from job.launch.queue import Waiting, unstarted, waiting
from job.runs.record import State
from job.runtime.stop import StopSignal
from job.store import Store, open_store
from tests.support.kubernetes_api import NAMESPACE, Api, Body

TOO_MUCH = "couldn't assign flavors to pod set main: insufficient quota for nvidia.com/gpu (2 > 1)"
PREEMPTED = "Preempted to accommodate a workload in the ClusterQueue"
AT = "2026-08-20T10:30:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def created(kind: str = "batch/v1/Job", queue: str = "gpus", **spec: Any) -> Body:
    version, _, kind = kind.rpartition("/")
    metadata = {
        "name": "a",
        "labels": {"kueue.x-k8s.io/queue-name": queue} if queue else {},
        "annotations": {"finetune/run-id": "r"},
    }
    body = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    return Cluster().create(body)


def condition(kind: str, status: str, reason: str, message: str) -> Body:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": AT,
    }


def workload(api: Api, owner: Body, *conditions: Body) -> None:
    """What Kueue keeps for an object."""
    where = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{NAMESPACE}/workloads"
    uid = owner["metadata"]["uid"]
    api.objects[where, "job-a-1a2b3"] = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {
            "name": "job-a-1a2b3",
            "creationTimestamp": "2026-08-20T09:00:00Z",
            "labels": {"kueue.x-k8s.io/job-uid": uid},
        },
        "status": {"conditions": list(conditions)},
    }


PENDING = condition("QuotaReserved", "False", "ExceedsMaxQuota", TOO_MUCH)


@pytest.mark.parametrize(
    "kind",
    [
        "batch/v1/Job",
        "jobset.x-k8s.io/v1alpha2/JobSet",
        "trainer.kubeflow.org/v1alpha1/TrainJob",
    ],
)
def test_kueue_says_why(api: Api, kind: str) -> None:
    body = created(kind, suspend=True)
    since = body["metadata"]["creationTimestamp"]
    workload(api, body, PENDING)
    found = waiting(Cluster(), body)
    assert found == Waiting("gpus", since, f"ExceedsMaxQuota: {TOO_MUCH}")
    assert str(found) == f"waits in queue gpus since {since}: ExceedsMaxQuota: {TOO_MUCH}"
    body["spec"]["suspend"] = False
    assert waiting(Cluster(), body) is None


def test_a_run_that_was_preempted_waits_since_then(api: Api) -> None:
    body = created(suspend=True)
    evicted = condition("Evicted", "True", "Preempted", "for another")
    preempted = condition("Preempted", "True", "InClusterQueue", PREEMPTED)
    workload(api, body, PENDING, evicted, preempted)
    found = waiting(Cluster(), body)
    assert found is not None
    assert (found.since, found.stopped) == (AT, f"InClusterQueue: {PREEMPTED}")
    workload(api, body, PENDING, evicted)
    found = waiting(Cluster(), body)
    assert found is not None
    assert found.stopped == "Preempted: for another"


@pytest.mark.parametrize(
    ("conditions", "queue", "reason"),
    [
        ([condition("QuotaReserved", "True", "", ""), condition("Admitted", "False", "C", "checks")], "q", "C: checks"),
        ([], "q", "Kueue has not said why"),
        (None, "q", "Kueue has no Workload for it yet"),
        (None, "", "it is suspended and has no queue"),
    ],
)  # fmt: skip
def test_what_else_may_hold_it(
    api: Api, conditions: list[Body] | None, queue: str, reason: str
) -> None:
    body = created(queue=queue, suspend=True)
    if conditions is not None:
        workload(api, body, *conditions)
    found = waiting(Cluster(), body)
    assert found is not None
    assert (found.queue, found.reason) == (queue, reason)


def test_rights_that_are_missing_are_said(api: Api) -> None:
    body = created(suspend=True)
    api.forbidden.add("GET workloads")
    found = waiting(Cluster(), body)
    assert found is not None
    assert "workloads is forbidden" in found.reason


def test_volcano_says_why(api: Api) -> None:
    body = created("batch.volcano.sh/v1alpha1/Job", queue="")
    body["spec"]["queue"] = "research"
    body["status"] = {"state": {"phase": "Pending", "lastTransitionTime": AT}}
    found = waiting(Cluster(), body)
    assert found == Waiting("research", AT, "Volcano has not said why")
    name = f"a-{body['metadata']['uid']}"
    where = f"/apis/scheduling.volcano.sh/v1beta1/namespaces/{NAMESPACE}/podgroups"
    said = condition("Unschedulable", "True", "NotEnoughResources", "2/2 tasks in gang")
    api.objects[where, name] = {
        "kind": "PodGroup",
        "metadata": {"name": name},
        "status": {"conditions": [said]},
    }
    found = waiting(Cluster(), body)
    assert found == Waiting("research", AT, "NotEnoughResources: 2/2 tasks in gang")
    body["status"]["state"]["phase"] = "Running"
    assert waiting(Cluster(), body) is None

    group = api.objects[where, name]["status"]
    group["phase"] = "Inqueue"  # its pods were taken away, and the Job itself still says Running
    assert waiting(Cluster(), body) == Waiting(
        "research", AT, "NotEnoughResources: 2/2 tasks in gang"
    )
    scheduled = condition("Scheduled", "True", "", "") | {
        "lastTransitionTime": "2027-01-01T00:00:00Z"
    }
    group["conditions"].append(scheduled)
    assert waiting(Cluster(), body) is None


def test_times_that_a_controller_renews_are_no_news() -> None:
    first = Waiting("q", AT, "2/2 tasks")
    assert first.same_as(Waiting("q", "2027-01-01T00:00:00Z", "2/2 tasks"))
    assert not first.same_as(Waiting("q", AT, "1/2 tasks"))
    assert not first.same_as(None)


NO_IMAGE = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "finetune-job:9"'}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {"conditions": [condition("PodScheduled", "False", "Unschedulable", "0/3 nodes")]},
            "Unschedulable: 0/3 nodes",
        ),
        (
            {"containerStatuses": [{"state": {"waiting": NO_IMAGE}}]},
            'ImagePullBackOff: Back-off pulling image "finetune-job:9"',
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, None),
        ({"containerStatuses": [{"state": {"running": {}}}]}, None),
        ({}, None),
    ],
)
def test_pods_that_cannot_start_are_named(api: Api, status: Body, said: str | None) -> None:
    body = created(queue="")
    labels = {"app.kubernetes.io/instance": "", "app.kubernetes.io/component": ""}
    for name, run in (("other", "q"), ("a-0", "r")):
        annotations = {"finetune/run-id": run}
        metadata = {"name": name, "labels": labels, "annotations": annotations}
        metadata["creationTimestamp"] = AT
        where = f"/api/v1/namespaces/{NAMESPACE}/pods"
        api.objects[where, name] = {"kind": "Pod", "metadata": metadata, "status": status}
    assert waiting(Cluster(), body) is None
    found = unstarted(Cluster(), body)
    assert (str(found) if found else None) == (said and f"waits since {AT}: pod a-0: {said}")
    api.forbidden.add("GET pods")
    assert unstarted(Cluster(), body) is None


def test_it_is_said_everywhere_and_once_for_each_reason(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    body = created(suspend=True)
    workload(api, body, PENDING)
    told: list[tuple[str, str]] = []

    def shown() -> str:
        return str(api.one("jobs")["metadata"]["annotations"].get("finetune/status"))

    def kept() -> list[str]:
        return [item.key for item in store.list("m/runs/r/waiting.json")]

    def look_again() -> None:
        assert len(told) == 1

    def preempted() -> None:
        assert shown() == str(waiting(Cluster(), body))
        assert json.loads(store.get("m/runs/r/waiting.json"))["queue"] == "gpus"
        state = State("r", stage="train", step=247, attempt=1)
        store.put("m/runs/r/state.json", json.dumps(asdict(state)).encode())
        progress = {"attempt": 1, "figures": {"step": 37, "eta_seconds": 3600}, "milestones": []}
        store.put("m/runs/r/progress.json", json.dumps(progress).encode())
        evicted = condition("Evicted", "True", "Preempted", PREEMPTED)
        workload(api, body, PENDING, evicted)

    def admitted() -> None:
        annotations = api.one("jobs")["metadata"]["annotations"]
        assert len(told) == 2
        assert annotations["finetune/step"] == "247", "where it goes on, not what it last told"
        assert "finetune/eta-seconds" not in annotations
        assert shown().startswith(f"stopped at step 247, waits in queue gpus since {AT} (stopped")
        api.one("jobs")["spec"]["suspend"] = False
        progress = {"attempt": 2, "figures": {"status": "running"}, "milestones": []}
        store.put("m/runs/r/progress.json", json.dumps(progress).encode())

    def running() -> None:
        assert shown() == "running"
        assert kept() == []
        raise Stopped("enough")

    looks: Iterator[Callable[[], None]] = iter((look_again, preempted, admitted, running))
    monkeypatch.setattr(following, "_sleep", lambda *_: next(looks)())
    follower = Workload(Cluster(), body, store, "m", lambda *event: told.append(event))
    with pytest.raises(Stopped, match="enough"):
        follower.follow(StopSignal(30), 1)
    assert [reason for reason, _ in told] == ["Queued", "Queued"]
    assert TOO_MUCH in told[0][1]
    assert [reason for reason, _ in api.events("a")] == ["Queued", "Queued"]
    assert "jobs/a waits in queue gpus since" in caplog.text


def test_a_run_that_fails_while_it_waits_is_no_longer_waiting(api: Api, store: Store) -> None:
    body = created(suspend=True)
    store.put("m/runs/r/waiting.json", b"{}")
    api.one("jobs")["status"] = {"conditions": [condition("Failed", "True", "Deadline", "")]}
    follower = Workload(Cluster(), body, store, "m", lambda *_: None)
    with pytest.raises(RunFailed):
        follower.follow(StopSignal(30), 1)
    assert list(store.list("m/runs/r/waiting.json")) == []
