"""Runs on a real cluster: two pods that train, and what happens to them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from job.store import Store
from tests.e2e.kube import Body, Helm, Kube, end_of, index_of, until

pytestmark = [pytest.mark.e2e]
Release = Callable[..., Helm]

LONG = {"train": {"epochs": 150}, "checkpoint": {"every_seconds": 3}}
"""Some minutes of training, for a test to do something in the middle of it."""


def state_of(store: Store, name: str) -> dict[str, Any]:
    """The state of the only run of a model; empty before it has one."""
    keys = [o.key for o in store.list(f"{name}/runs/") if o.key.endswith("/state.json")]
    return json.loads(store.get(keys[0])) if keys else {}


def joined(kube: Kube, pod: Body) -> int:
    """How often a pod's processes have formed a world with others."""
    return kube.logs(pod["metadata"]["name"]).count('"message": "joined"')


def steps(store: Store, name: str) -> int:
    """The last committed step."""
    return int(state_of(store, name).get("step", 0))


def finished(kube: Kube, release: str) -> Body:
    """The release's only Job, once it has ended well."""

    def look() -> Body | None:
        (job,) = kube.train(release)
        assert end_of(job) != "Failed", job["status"]
        return job if end_of(job) == "Complete" else None

    return until(look, f"the Job of {release} completes")


def test_two_pods_train_and_publish(
    release: Release, binary: str, kube: Kube, bucket: Store
) -> None:
    name = f"two-{'helm3' if 'helm3' in binary else 'helm4'}"
    notes = release(name, binary, nodes=2, progress={"enabled": True})("install")
    assert "no gang scheduler" in notes
    job = finished(kube, name)
    pods = {index_of(pod): pod for pod in kube.pods(name)}
    assert set(pods) == {0, 1}
    assert len({pod["spec"]["nodeName"] for pod in pods.values()}) == min(2, _nodes(kube))
    log = kube.logs(pods[0]["metadata"]["name"])
    assert re.search(r'"message": "joined", "rank": 0, "world": 2', log), log[-2000:]

    # what people look at: the message the pod leaves, annotations, Events
    (status,) = pods[0]["status"]["containerStatuses"]
    outcome = json.loads(status["state"]["terminated"]["message"])
    assert outcome["exit_code"] == 0
    annotations = job["metadata"]["annotations"]
    assert annotations["finetune/step"] == annotations["finetune/total-steps"]
    assert annotations["finetune/model"] == outcome["result"]["model"]
    reasons = kube.events(job["metadata"]["name"])
    assert {"Started", "Checkpointed", "Published"} <= set(reasons)

    # and the model
    key = outcome["result"]["model"].removeprefix(f"{bucket.uri}/")
    assert json.loads(bucket.get(f"{key}/eval_results.json"))["test_accuracy"] > 0.5
    assert b"pipeline_tag: text-classification" in bucket.get(f"{key}/README.md")
    assert state_of(bucket, name)["outcome"] == "done"


def _nodes(kube: Kube) -> int:
    """Nodes that take pods."""
    nodes = json.loads(kube("get", "nodes", "-o", "json"))["items"]
    return sum(not node["spec"].get("taints") for node in nodes)


def test_a_pod_that_is_deleted_comes_back_and_the_other_stays(
    release: Release, kube: Kube, bucket: Store
) -> None:
    release("lost", nodes=2, config=LONG)("install")
    until(lambda: steps(bucket, "lost") > 20, "the world makes steps")
    before = {index_of(pod): pod for pod in kube.pods("lost")}
    kube("delete", "pod", before[1]["metadata"]["name"], "--grace-period=1", "--wait=false")

    def back() -> Body | None:
        pods = [p for p in kube.pods("lost") if index_of(p) == 1]
        new = [p for p in pods if p["metadata"]["uid"] != before[1]["metadata"]["uid"]]
        return new[-1] if new and joined(kube, new[-1]) else None

    until(back, "another pod 1 joins")
    (first,) = [pod for pod in kube.pods("lost") if index_of(pod) == 0]
    assert first["metadata"]["uid"] == before[0]["metadata"]["uid"], "pod 0 stays"
    assert joined(kube, first) >= 2
    at = steps(bucket, "lost")
    until(lambda: steps(bucket, "lost") > at, "the world goes on")
    assert '"message": "resumed"' in kube.logs(first["metadata"]["name"])
    finished(kube, "lost")


def test_an_eviction_is_no_failure(release: Release, kube: Kube, bucket: Store) -> None:
    release("evicted", config=LONG)("install")
    until(lambda: steps(bucket, "evicted") > 20, "it makes steps")
    (pod,) = kube.pods("evicted")
    name = pod["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": kube.namespace},
    }
    path = f"/api/v1/namespaces/{kube.namespace}/pods/{name}/eviction"
    kube("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    until(lambda: len([p for p in kube.pods("evicted") if not end_of(p)]) > 0, "another pod")
    job = finished(kube, "evicted")
    assert job["status"].get("failed", 0) in (0, 1)
    state = state_of(bucket, "evicted")
    assert (state["outcome"], state["stalled"]) == ("done", 0)
    assert state["attempt"] >= 2


def test_a_wrong_setting_fails_the_job_without_another_try(
    release: Release, kube: Kube, bucket: Store
) -> None:
    wrong = {"train": {"tokens_per_device": 16}, "encode": {"max_length": 64}}
    release("wrong", config=wrong)("install")
    job = until(lambda: next((j for j in kube.train("wrong") if end_of(j)), None), "it ends")
    assert end_of(job) == "Failed"
    (failed,) = [c for c in job["status"]["conditions"] if c["type"] == "Failed"]
    assert failed["reason"] == "PodFailurePolicy"
    assert "exit code 78" in failed["message"]
    (pod,) = kube.pods("wrong")
    (status,) = pod["status"]["containerStatuses"]
    said = json.loads(status["state"]["terminated"]["message"])
    assert "FINETUNE_TRAIN__TOKENS_PER_DEVICE" in said["message"]
    assert state_of(bucket, "wrong") == {}, "nothing was begun"


def test_upgrade_test_and_uninstall(release: Release, kube: Kube, bucket: Store) -> None:
    chart = release("upgraded", config=LONG)
    chart("install")
    assert "honours conditional writes" in chart("test", "--logs")
    until(lambda: steps(bucket, "upgraded") > 20, "it makes steps")
    (before,) = kube.train("upgraded")
    chart("upgrade", podLabels={"team": "nlp"})

    def replaced() -> Body | None:
        jobs = kube.train("upgraded")
        new = [j for j in jobs if j["metadata"]["uid"] != before["metadata"]["uid"]]
        return new[0] if len(jobs) == len(new) == 1 else None

    job = until(replaced, "the old Job is deleted")
    run = "finetune/run-id"
    assert job["metadata"]["annotations"][run] == before["metadata"]["annotations"][run]
    finished(kube, "upgraded")
    (pod,) = kube.pods("upgraded")
    assert '"message": "resumed"' in kube.logs(pod["metadata"]["name"]), "from its checkpoints"

    chart("uninstall", "--wait")
    kinds = (
        "jobs,cronjobs,pods,services,serviceaccounts,roles,rolebindings,configmaps,networkpolicies"
    )
    until(lambda: kube.all(kinds, release="upgraded") == [], "nothing is left behind", 120)
