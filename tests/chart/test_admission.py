"""The admission policy's lists are those of the Jobs that launchers make, so that it refuses none of these.

That it refuses all others is asked of a real API server (tests/e2e/test_rights.py).
"""

from __future__ import annotations

import json
from typing import Any

from tests.chart.conftest import Render, one
from tests.support.chart import Body, launcher

VALUES: dict[str, Any] = {
    "schedule": "@daily",
    "nodes": 2,
    "gpusPerNode": 4,
    "launch": {
        "admissionPolicy": True,
        "prepare": "job",
        "tolerations": [{"key": "cpu", "operator": "Exists"}],
    },
    "config": {"data": {"train": "s3://raw/it's <a> & b.csv"}},
    "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
    "nodeSelector": {"pool": "gpu"},
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "s3": {"existingSecret": "s3", "endpoint": "http://s3"},
    "webhook": {"existingSecret": "hook"},
    "scratch": {"storageClassName": "fast"},
    "caBundle": {"secret": "ca"},
    "extraEnv": {
        "A": {"valueFrom": {"configMapKeyRef": {"name": "ours", "key": "k"}}},
        "B": 'it\'s "quoted"',
    },
}


def source(variable: Body) -> str:
    """Where a variable's value is from, as the policy writes it."""
    ((kind, of),) = variable["valueFrom"].items()
    where = [str(of[name]) for name in ("fieldPath", "name", "key") if name in of]
    return "/".join([kind.removesuffix("Ref").removesuffix("Key"), *where])


def pinned(policy: Body) -> dict[str, Any]:
    """The policy's variables that are plain lists and maps."""
    expressions = {v["name"]: v["expression"] for v in policy["spec"]["variables"]}
    assert expressions.pop("made") == "request.operation == 'CREATE'"
    assert expressions.pop("pod") == "object.spec.template.spec"
    return {name: json.loads(expression) for name, expression in expressions.items()}


def test_what_is_pinned_is_what_launchers_make(render: Render) -> None:
    bodies = render(**VALUES)
    lists = pinned(one(bodies, "ValidatingAdmissionPolicy"))
    annotations = launcher(bodies)["metadata"]["annotations"]
    for name in ("train", "prepare"):
        job = json.loads(annotations[f"finetune/{name}"])
        spec = job["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        for variable in container["env"]:
            if "valueFrom" in variable:
                assert lists["sources"][variable["name"]] == source(variable)
            else:
                assert lists["values"][variable["name"]] == variable["value"]
        for mount in container["volumeMounts"]:
            assert f"{mount['name']}:{mount['mountPath']}" in lists["mounts"]
        for toleration in spec["tolerations"]:
            shown = [toleration.get(key, "") for key in ("key", "operator", "value", "effect")]
            shown[1] = shown[1] or "Equal"
            assert "/".join(shown) in lists["tolerations"]
        assert spec.get("nodeSelector", {}) in lists["selectors"]
        assert spec.get("runtimeClassName", "") in lists["runtimes"]
        assert spec["priorityClassName"] in lists["priorities"]
        assert str(container["resources"]["limits"].get("nvidia.com/gpu", 0)) in lists["gpus"]
        assert [ref["secretRef"]["name"] for ref in container["envFrom"]] == lists["envSecrets"]
    assert lists["schedulers"] == ["default-scheduler"]
    assert "secret/demo-finetune-peers/token" in lists["sources"].values()
    assert lists["sources"]["FINETUNE_PUBLISH__WEBHOOK_SECRET"] == "secret/hook/secret"
    assert len(lists["tolerations"]) == 4, "and no others"
    assert lists["gpus"] == ["0", "4"]


def test_a_cronjob_may_be_annotated_alone(render: Render) -> None:
    spec = one(render(**VALUES), "ValidatingAdmissionPolicy")["spec"]
    operations = {
        r["resources"][0]: r["operations"] for r in spec["matchConstraints"]["resourceRules"]
    }
    assert operations == {"jobs": ["CREATE", "UPDATE"], "cronjobs": ["UPDATE"]}
    assert "object.spec == oldObject.spec" in spec["validations"][0]["expression"]


def test_what_an_attacker_would_change_is_looked_at(render: Render) -> None:
    rules = " ".join(
        rule["expression"]
        for rule in one(render(**VALUES), "ValidatingAdmissionPolicy")["spec"]["validations"]
    )
    for field in (
        *("seccompProfile.type", "runAsNonRoot", "runAsUser", "capabilities.drop", "privileged"),
        *("nodeName", "hostPort", "configMapKeyRef", "tolerations", "priorityClassName", "sysctls"),
        *(
            "hostAliases",
            "dnsConfig",
            "dnsPolicy",
            "volumeMounts",
            "dataSource",
            "runtimeClassName",
        ),
        *("shareProcessNamespace", "schedulerName", "nodeSelector", "queue-name", "completions"),
    ):
        assert field in rules, field
    config = '"{\\"data\\":{\\"train\\":\\"s3://raw/it\'s '
    assert config in rules
