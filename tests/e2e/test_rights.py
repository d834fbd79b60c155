"""What a launcher may do on a real cluster: its Role, and the policy that says what it may create."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kube import Body, Helm, Kube, until
from tests.support.chart import launcher, mounted

pytestmark = [pytest.mark.e2e]


def container(job: Body) -> Body:
    (one,) = job["spec"]["template"]["spec"]["containers"]
    return dict(one)


def changed(job: Body, name: str, pod: Body | None = None, inside: Body | None = None) -> Body:
    """The launcher's Job with something that it may not have."""
    other = copy.deepcopy(job)
    other["metadata"]["name"] = name
    spec = other["spec"]["template"]["spec"]
    spec.update(pod or {})
    spec["containers"][0].update(inside or {})
    return other


def test_a_launcher_makes_its_own_job_and_nothing_else(
    release: Callable[..., Helm], kube: Kube, tmp_path: Path
) -> None:
    chart = release("pinned", schedule="0 0 1 1 *", launch={"admissionPolicy": True})
    chart("install")
    account = f"--as=system:serviceaccount:{kube.namespace}:pinned-finetune-launch"
    cronjob = kube.get("cronjob", "pinned-finetune")
    assert cronjob is not None
    folder = mounted(launcher([cronjob]), tmp_path)
    good = json.loads((folder / "train.json").read_text())
    good["metadata"]["name"] = "good"
    env = container(good)["env"]
    key = {"name": "other", "key": "k"}
    context = good["spec"]["template"]["spec"]["securityContext"]
    own, unconfined = container(good)["securityContext"], {"type": "Unconfined"}
    secret = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}
    bad: dict[str, dict[str, Any]] = {
        "image": {"inside": {"image": "other:1"}},
        "command": {"inside": {"command": ["sh"]}},
        "args": {"inside": {"args": ["config"]}},
        "hook": {"inside": {"lifecycle": {"postStart": {"exec": {"command": ["sh"]}}}}},
        "secret": {"inside": {"env": [*env, secret]}},
        "variable": {"inside": {"env": [*env, {"name": "PYTHONPATH", "value": "/x"}]}},
        "all-of-it": {"inside": {"envFrom": [{"secretRef": {"name": "other"}}]}},
        "value": {"inside": {"env": [{**item, "value": "/x"} for item in env if "value" in item]}},
        "config-map": {
            "inside": {"env": [{"name": env[0]["name"], "valueFrom": {"configMapKeyRef": key}}]}
        },
        "seccomp": {"pod": {"securityContext": {**context, "seccompProfile": unconfined}}},
        "own-seccomp": {"inside": {"securityContext": {**own, "seccompProfile": unconfined}}},
        "root": {"pod": {"securityContext": {**context, "runAsNonRoot": False}}},
        "capabilities": {"inside": {"securityContext": {**own, "capabilities": {}}}},
        "node": {"pod": {"nodeName": "any"}},
        "selector": {"pod": {"nodeSelector": {"any": "other"}}},
        "tolerations": {"pod": {"tolerations": [{"operator": "Exists"}]}},
        "priority": {"pod": {"priorityClassName": "system-cluster-critical"}},
        "port": {"inside": {"ports": [{"containerPort": 80, "hostPort": 80}]}},
        "names": {"pod": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["s3"]}]}},
        "mount": {"inside": {"volumeMounts": [{"name": "config", "mountPath": "/usr/lib"}]}},
        "two": {"pod": {"containers": [container(good), {**container(good), "name": "other"}]}},
        "account": {"pod": {"serviceAccountName": "default"}},
        "token": {"pod": {"automountServiceAccountToken": True}},
        "pull": {"pod": {"imagePullSecrets": [{"name": "other"}]}},
    }

    def asked(body: Body) -> str:
        words = ("create", account, "--dry-run=server", "-f", "-")
        return kube(*words, stdin=json.dumps(body), check=False)

    until(lambda: not asked(changed(good, "image", **bad["image"])), "the policy is in force", 60)
    assert "created" in asked(good)
    for name, change in bad.items():
        assert asked(changed(good, name, **change)) == "", name
    for words in (
        ("delete", "cronjob", "pinned-finetune"),
        ("get", "secrets"),
        ("delete", "pods", "--all"),
        (
            "patch",
            "cronjob",
            "pinned-finetune",
            "--type=merge",
            "-p",
            '{"spec": {"suspend": true}}',
        ),
        ("annotate", "cronjob", "pinned-finetune-rollback", "finetune/champion=v"),
    ):
        assert kube(*words, account, check=False) == "", words
    assert kube("get", "cronjob", "pinned-finetune", account)
    assert kube("annotate", "cronjob", "pinned-finetune", "finetune/champion=v", account)
