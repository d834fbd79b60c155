"""The way back with plain kubectl: a Job made from the CronJob that is never due, hardened as all pods are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helm import binaries
from tests.chart.conftest import Render
from tests.chart.validation import check, templates
from tests.support.chart import Body, rendered, scheduled
from tests.support.kubernetes_api import NAMESPACE, Api

NAME = "demo-finetune-rollback"
PROMOTE = {"spec": {"template": {"spec": {"containers": [{"name": "registry", "args": ["promote", "VERSION"]}]}}}}  # fmt: skip


def never_due(bodies: list[Body]) -> Body:
    (cronjob,) = (b for b in bodies if b["kind"] == "CronJob" and b is not scheduled(bodies))
    return cronjob


def test_it_is_a_pod_as_the_others_but_with_no_token_and_no_gpu(render: Render) -> None:
    values: dict[str, Any] = {
        "gpusPerNode": 4,
        "webhook": {"existingSecret": "hook"},
        "s3": {"existingSecret": "s3"},
        "serviceAccount": {"name": "with-a-bucket"},
    }
    cronjob = never_due(render(schedule="@daily", **values))
    check(cronjob)
    assert cronjob["metadata"]["name"] == NAME
    assert cronjob["spec"]["suspend"] is True
    assert cronjob["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] > 0
    (pod,) = templates(cronjob)
    (container,) = pod["spec"]["containers"]
    assert container["args"] == ["rollback"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "FINETUNE_PUBLISH__WEBHOOK_SECRET" in [item["name"] for item in container["env"]]
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert pod["spec"]["serviceAccountName"] == "with-a-bucket"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "nvidia.com/gpu" not in json.dumps(cronjob)
    assert [b for b in render(**values) if b["kind"] == "CronJob"] == []


Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(api: Api, tmp_path: Path) -> Kubectl:
    """kubectl, as the chart's README uses it, beside a release with a schedule."""
    api.anonymous = True
    bodies = rendered(
        binaries.find("helm4"), {"schedule": "@daily", "config": {"output": "s3://m"}}
    )
    for body in bodies:
        if body["kind"] == "CronJob":
            where = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"
            body["metadata"]["uid"] = body["metadata"]["name"]
            api.objects[where, body["metadata"]["name"]] = api.stamp(body)

    def run(*words: str, stdin: str = "") -> str:
        command = [binaries.find("kubectl"), "-n", NAMESPACE, *words]
        env = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(tmp_path)}
        done = subprocess.run(
            command, input=stdin, env=env, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_rollback_is_one_command(api: Api, kubectl: Kubectl) -> None:
    command = ("create", "job", "undo", f"--from=cronjob/{NAME}")
    job = json.loads(kubectl(*command, "--dry-run=client", "-o", "json"))
    check(job)
    assert job["metadata"]["ownerReferences"][0]["name"] == NAME
    (pod,) = templates(job)
    assert pod["spec"]["containers"][0]["args"] == ["rollback"]
    kubectl(*command)
    assert api.one("jobs")["metadata"]["name"] == "undo"


def test_a_promotion_by_hand_is_the_same_with_other_arguments(api: Api, kubectl: Kubectl) -> None:
    made = kubectl(
        *("create", "job", "promote", f"--from=cronjob/{NAME}", "--dry-run=client", "-o", "json")
    )
    patched = kubectl(
        "patch", "--local", "-f", "-", "-o", "json", "-p", json.dumps(PROMOTE), stdin=made
    )
    kubectl("create", "-f", "-", "--validate=false", stdin=patched)  # the server has no OpenAPI
    job = api.one("jobs")
    check(job)
    (pod,) = templates(job)
    (container,) = pod["spec"]["containers"]
    assert container.pop("args") == ["promote", "VERSION"]
    (wanted,) = templates(never_due(api.all("cronjobs")))
    (expected,) = wanted["spec"]["containers"]
    expected.pop("args")
    assert container == expected, "and all else is as it was"
