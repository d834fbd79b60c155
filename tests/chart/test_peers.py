"""By what the pods of a run know each other: made once, the same for every backend, and read by them alone."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from helm import cli
from tests.chart.conftest import Render, one
from tests.chart.test_backends import BACKENDS, pods, variables
from tests.chart.validation import check
from tests.support.chart import launcher
from tests.support.kubernetes_api import NAMESPACE, api_server

VARIABLE = "FINETUNE_RUNTIME__PEER_TOKEN"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("given", ["", "ours"])
def test_all_training_pods_read_it_from_a_secret(render: Render, backend: str, given: str) -> None:
    bodies = render(backend=backend, nodes=2, peers={"existingSecret": given})
    secrets = [body for body in bodies if body["kind"] == "Secret"]
    for secret in secrets:
        check(secret)
        assert len(base64.b64decode(secret["data"]["token"])) == 43
    assert [secret["metadata"]["name"] for secret in secrets] == [
        name for name in ("demo-finetune-peers",) if not given
    ]
    reference = {"name": given or "demo-finetune-peers", "key": "token"}
    assert [variables(pod)[VARIABLE] for pod in pods(bodies)] == [
        {"secretKeyRef": reference} for _ in pods(bodies)
    ]
    token = secrets[0]["data"]["token"] if secrets else "none"
    assert all(token not in json.dumps(body) for body in bodies if body["kind"] != "Secret")


def test_a_launched_run_reads_it_and_its_launcher_does_not(render: Render) -> None:
    bodies = render(schedule="@daily", nodes=2, launch={"admissionPolicy": True})
    template = launcher(bodies)
    assert VARIABLE not in json.dumps(template["spec"])
    train = json.loads(template["metadata"]["annotations"]["finetune/train"])
    assert VARIABLE in json.dumps(train["spec"])
    assert all("secrets" not in rule["resources"] for rule in one(bodies, "Role")["rules"])
    assert "demo-finetune-peers" in json.dumps(one(bodies, "ValidatingAdmissionPolicy"))


def test_a_single_pod_needs_none(render: Render) -> None:
    bodies = render()
    assert {"Secret", "NetworkPolicy"}.isdisjoint(body["kind"] for body in bodies)
    assert VARIABLE not in json.dumps(bodies)


def test_only_the_releases_pods_may_speak_to_those_that_train_together(render: Render) -> None:
    spec = one(render(nodes=2), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress"], "whom they may speak to is not known"
    assert spec["ingress"] == [{"from": [{"podSelector": spec["podSelector"]}]}]
    (pod, *_) = pods(render(nodes=2))
    assert spec["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_upgrades_and_rollbacks_keep_it(
    binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods that run have read it: one that is recreated must find the same."""
    monkeypatch.setenv("HELM_CACHE_HOME", str(tmp_path / "cache"))
    with api_server() as api:
        api.anonymous = True
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))

        def token(command: str, *words: str, **values: Any) -> str:
            given = {"config": {"output": "s3://models"}, **values} if values else None
            more = (str(cli.CHART), "--disable-openapi-validation") if values else words
            arguments = (command, "demo", *more, "--namespace", NAMESPACE)
            done = cli.run(binary, *arguments, values=given)
            assert done.returncode == 0, done.stderr
            made = [s for s in api.all("secrets") if s["metadata"]["name"].endswith("-peers")]
            return str(made[0]["data"]["token"]) if made else ""

        first = token("install", nodes=2)
        assert first
        assert token("upgrade", nodes=1) == first, "pods of the last revision may still run"
        assert token("rollback", "1") == first
