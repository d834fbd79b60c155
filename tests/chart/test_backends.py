"""The four kinds of object that a run can be: what each must have, and that all say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from job.errors import PERMANENT
from tests.chart.conftest import Render
from tests.chart.validation import check, templates
from tests.support.chart import Body

BACKENDS = ("job", "jobset", "volcano", "trainjob")
KINDS = {
    ("batch/v1", "Job"): "job",
    ("jobset.x-k8s.io/v1alpha2", "JobSet"): "jobset",
    ("batch.volcano.sh/v1alpha1", "Job"): "volcano",
    ("trainer.kubeflow.org/v1alpha1", "TrainJob"): "trainjob",
}
CONFIG = {"train": {"learning_rate": 2e-5}, "data": {"train": "s3://raw/a<b>&.csv"}, "name": "y"}


def workload_of(bodies: list[Body]) -> Body:
    (body,) = (body for body in bodies if (body["apiVersion"], body["kind"]) in KINDS)
    return body


def pods(bodies: list[Body]) -> list[Body]:
    """The templates of training pods."""
    train = {"app.kubernetes.io/component": "train"}
    return [
        pod
        for body in bodies
        for pod in templates(body)
        if train.items() <= pod["metadata"]["labels"].items()
    ]


def variables(pod: Body) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


@pytest.mark.parametrize("backend", BACKENDS)
def test_its_schema_accepts_it_and_it_carries_the_same(render: Render, backend: str) -> None:
    bodies = render(backend=backend, nodes=3, gpusPerNode=2, config=CONFIG, rerun=1)
    for body in bodies:
        check(body)
    workload = workload_of(bodies)
    assert KINDS[workload["apiVersion"], workload["kind"]] == backend
    text = json.dumps(workload)

    # the settings, exactly, and the run's id, in the annotations that pods read them from
    annotated = workload["metadata"]["annotations"]["finetune/run-id"]
    holders = [workload] if backend == "trainjob" else pods(bodies)
    for holder in holders:
        assert json.dumps(json.dumps(annotated))[1:-1] in json.dumps(json.dumps(holder))
    (config, *rest) = _configs(workload)
    assert all(other == config for other in rest)
    assert json.loads(config) == {"output": "s3://models", **CONFIG}
    assert json.loads(config)["train"]["learning_rate"] == 2e-5

    # where it runs and what it may do is the same
    for pod in pods(bodies):
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["restartPolicy"] == "Never"
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert container["args"] == ["run"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
        env = variables(pod)
        assert env["FINETUNE_RUNTIME__PROCESSES"] == "2"
        assert env["FINETUNE_RUNTIME__GRACE_SECONDS"] == str(spec["terminationGracePeriodSeconds"])
        assert (
            env["FINETUNE_RUN_ID"]["fieldRef"]["fieldPath"]
            == "metadata.annotations['finetune/run-id']"
        )

    # every pod takes part
    assert _pods_of(workload, bodies) == 3
    # the codes that no retry helps with end it, 143 does not
    assert [code for code in range(1, 256) if _ends(workload, bodies, code)] == list(PERMANENT)
    # only its queue decides when it starts
    assert "suspend" not in text


def _configs(value: Any) -> list[str]:
    if isinstance(value, list):
        return [config for item in value for config in _configs(item)]
    if not isinstance(value, dict):
        return []
    own = [value["finetune/config"]] if "finetune/config" in value else []
    return own + _configs(list(value.values()))


def _jobs(workload: Body, bodies: list[Body]) -> list[Body]:
    """The specs of the batch/v1 Jobs inside."""
    if workload["kind"] == "Job":
        return [workload["spec"]] if workload["apiVersion"] == "batch/v1" else []
    if workload["kind"] == "TrainJob":
        (runtime,) = (body for body in bodies if body["kind"] == "TrainingRuntime")
        assert runtime["metadata"]["name"] == workload["spec"]["runtimeRef"]["name"]
        replicated = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    else:
        replicated = workload["spec"]["replicatedJobs"]
    return [item["template"]["spec"] for item in replicated]


def _pods_of(workload: Body, bodies: list[Body]) -> int:
    jobs = _jobs(workload, bodies)
    if not jobs:
        assert workload["spec"]["minAvailable"] == sum(
            t["replicas"] for t in workload["spec"]["tasks"]
        )
        return int(workload["spec"]["minAvailable"])
    if workload["kind"] == "TrainJob":
        assert workload["spec"]["trainer"]["numNodes"] == jobs[0]["completions"]
    return sum(int(job["completions"]) for job in jobs)


def _ends(workload: Body, bodies: list[Body], code: int) -> bool:
    jobs = _jobs(workload, bodies)
    if not jobs:
        policies = workload["spec"]["policies"]
        return any(p.get("exitCode") == code and p["action"] == "TerminateJob" for p in policies)
    rules = jobs[0]["podFailurePolicy"]["rules"]
    assert rules[0]["action"] == "Ignore"
    assert rules[0]["onPodConditions"][0]["type"] == "DisruptionTarget"
    for rule in rules[1:]:
        if code in rule["onExitCodes"]["values"]:
            assert rule["onExitCodes"]["values"] == sorted(rule["onExitCodes"]["values"])
            return bool(rule["action"] == "FailJob")
    return False


@pytest.mark.parametrize("backend", ["job", "jobset", "trainjob"])
def test_the_jobs_inside_are_indexed_and_patient(render: Render, backend: str) -> None:
    bodies = render(backend=backend, nodes=2)
    (job,) = _jobs(workload_of(bodies), bodies)
    assert job["completionMode"] == "Indexed"
    assert job["parallelism"] == job["completions"] == 2
    assert job["backoffLimit"] == 40
    assert job["podReplacementPolicy"] == "Failed"
    assert job["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}
    assert "ttlSecondsAfterFinished" not in job


def test_pods_of_a_job_find_the_first_by_its_service(render: Render) -> None:
    bodies = render(nodes=2)
    (service,) = (body for body in bodies if body["kind"] == "Service")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    (pod,) = pods(bodies)
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    env = variables(pod)
    # where launchers make the Job, only its pods know its name
    assert (
        env["WORKLOAD"]["fieldRef"]["fieldPath"]
        == "metadata.labels['batch.kubernetes.io/job-name']"
    )
    assert env["FINETUNE_RUNTIME__ADDRESS"] == f"$(WORKLOAD)-0.{service['metadata']['name']}"
    assert list(env).index("WORKLOAD") < list(env).index("FINETUNE_RUNTIME__ADDRESS")


def test_what_is_volcano_s_own(render: Render) -> None:
    queue = {"kind": "volcano", "name": "research", "priorityClass": "high"}
    spec = workload_of(render(backend="volcano", nodes=2, queue=queue))["spec"]
    assert (spec["queue"], spec["priorityClassName"]) == ("research", "high")
    assert spec["maxRetry"] == 40, "it counts every restart, also after 143"
    assert {task["name"]: task["replicas"] for task in spec["tasks"]} == {"master": 1, "worker": 1}
    assert spec["tasks"][0]["policies"] == [{"action": "CompleteJob", "event": "TaskCompleted"}]
    # the first policy that fits counts: the codes come before the event
    kinds = ["exitCode" if "exitCode" in policy else "event" for policy in spec["policies"]]
    assert kinds == sorted(kinds, reverse=True)
    assert len(workload_of(render(backend="volcano"))["spec"]["tasks"]) == 1


@pytest.mark.parametrize("backend", ["job", "jobset", "trainjob"])
def test_kueue_s_labels_are_where_kueue_looks(render: Render, backend: str) -> None:
    queue = {"kind": "kueue", "name": "gpus", "topology": "rack", "priorityClass": "research"}
    bodies = render(backend=backend, nodes=2, queue=queue)
    labels = workload_of(bodies)["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "gpus"
    assert labels["kueue.x-k8s.io/priority-class"] == "research"
    for pod in pods(bodies):
        assert pod["metadata"]["annotations"]["kueue.x-k8s.io/podset-preferred-topology"] == "rack"
        # Kueue sets them from its flavors; an upgrade would undo that, even with an empty list
        assert not {"tolerations", "nodeSelector"} & pod["spec"].keys()
    assert "min-parallelism" not in json.dumps(bodies), "a fixed world is never admitted in part"
