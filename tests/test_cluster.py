"""The cluster's API, as far as the job uses it, against a server that speaks its protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from job.cluster import Cluster, Resource, completion_of
from job.errors import ClusterError, ClusterForbidden, SettingsError
from tests.support.kubernetes_api import NAMESPACE, Api, Body

JOBS = Resource("batch", "v1", "jobs")


@pytest.fixture
def cluster(api: Api) -> Cluster:
    return Cluster()


def job(name: str, **labels: str) -> Body:
    metadata = {"name": name, "labels": labels, "annotations": {"kept": "yes"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {}}


def test_objects_are_made_found_and_annotated(cluster: Cluster, api: Api) -> None:
    assert cluster.namespace == NAMESPACE
    assert cluster.get(JOBS, "a") is None
    created = cluster.create(job("a", release="x"))
    cluster.create(job("b", release="y"))
    assert (
        cluster.create(job("a", release="other"))["metadata"]["uid"] == created["metadata"]["uid"]
    )
    assert [item["metadata"]["name"] for item in cluster.list(JOBS, {"release": "x"})] == ["a"]
    cluster.annotate(JOBS, "a", {"finetune/step": "3"})
    patched = cluster.get(JOBS, "a")
    assert patched is not None
    assert patched["metadata"]["annotations"] == {"kept": "yes", "finetune/step": "3"}


def test_an_event_is_about_the_object(cluster: Cluster, api: Api) -> None:
    created = cluster.create(job("a"))
    cluster.add_event(created, "Published", "models/1")
    cluster.add_event(created, "RunFailed", "m" * 5000)
    good, bad = api.all("events")
    assert good["involvedObject"]["uid"] == created["metadata"]["uid"]
    assert (good["type"], bad["type"], len(bad["message"])) == ("Normal", "Warning", 1024)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_server_with_a_bad_moment_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, api: Api, status: int
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    api.failures, api.failure = 2, status
    assert cluster.get(JOBS, "a") is None
    assert len(api.asked) == 3


def test_what_is_forbidden_is_not_asked_again(cluster: Cluster, api: Api) -> None:
    api.forbidden.add("POST jobs")
    with pytest.raises(ClusterForbidden, match="jobs is forbidden") as caught:
        cluster.create(job("a"))
    assert caught.value.exit_code == 77
    assert api.asked == ["POST jobs"]


def test_a_server_that_is_gone(api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = Api(url="http://127.0.0.1:1", token="t")
    monkeypatch.setenv("KUBECONFIG", str(gone.kubeconfig(tmp_path)))
    with pytest.raises(ClusterError, match="does not answer"):
        Cluster(attempts=2).get(JOBS, "a")


def test_outside_of_any_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="no cluster to talk to"):
        Cluster()


@pytest.mark.parametrize("path", ["batch/v1/jobs", "batch/v1/jobs/", "a/b/c/d/e"])
def test_a_path_that_does_not_name_an_object(path: str) -> None:
    with pytest.raises(SettingsError, match="does not name an object"):
        Resource.named(path)
    assert Resource.named("batch/v1/jobs/a") == (JOBS, "a")


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> Body:
    return {"type": kind, "status": status, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ({}, None),
        ({"conditions": [condition("Suspended"), condition("FailureTarget")]}, None),
        ({"conditions": [condition("Failed", status="False")]}, None),
        ({"conditions": [condition("Complete")]}, (True, "")),
        ({"conditions": [condition("Completed", "AllJobsCompleted")]}, (True, "AllJobsCompleted")),
        (
            {"conditions": [condition("Failed", "Deadline", "too late")]},
            (False, "Deadline: too late"),
        ),
        ({"state": {"phase": "Running"}}, None),
        ({"state": {"phase": "Completed"}}, (True, "Completed")),
        (
            {"state": {"phase": "Terminated", "message": "by policy"}},
            (False, "Terminated: by policy"),
        ),
    ],
)
def test_how_each_kind_says_that_it_has_ended(status: Body, end: object) -> None:
    assert completion_of({"status": status}) == end
