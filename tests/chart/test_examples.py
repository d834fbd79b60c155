"""The chart's examples, and what is written down of them: rules that hold for every configuration."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest
import yaml

from helm import binaries, cli, manifests
from job.commands import TRAINING
from job.settings import load
from tests.chart.validation import check, templates
from tests.support.chart import Body, rendered

EXAMPLES = manifests.examples()


def example_bodies(binary: str, example: str) -> list[Body]:
    return rendered(binary, manifests.EXAMPLES / f"{example}.yaml", example)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_accepted_and_keeps_to_the_rules(binary: str, example: str) -> None:
    bodies = example_bodies(binary, example)
    for body in bodies:
        check(body)
        for pod in chain(templates(body), [body] if body["kind"] == "Pod" else []):
            _keeps_to_the_restricted_standard(pod["spec"])


def _keeps_to_the_restricted_standard(spec: Body) -> None:
    """Pod Security Standards, restricted; and what this project adds."""
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "runAsUser" not in spec["securityContext"], "OpenShift gives each namespace its own"
    assert spec["automountServiceAccountToken"] in (True, False)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    for volume in spec["volumes"]:
        assert not {"hostPath"} & volume.keys()
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert not container["image"].endswith(":latest")
        assert re.search(r":[\w.-]+$|@sha256:", container["image"])
        assert "command" not in container, "the image's own entrypoint is PID 1"


@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_s_own_linter_finds_nothing(binary: str, example: str) -> None:
    arguments = ("lint", "--strict", str(cli.CHART))
    process = cli.run(binary, *arguments, values=manifests.EXAMPLES / f"{example}.yaml")
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_s_config_is_one(binary: str, example: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for body in example_bodies(binary, example):
        if body["kind"] == "Pod":
            path.write_text(body["metadata"]["annotations"]["finetune/config"])
    settings = load({"FINETUNE_CONFIG": str(path)}, rules=TRAINING).settings
    assert 0 < settings.train.learning_rate < 1


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_plain_manifests_are_what_helm_renders(example: str) -> None:
    binary = binaries.find("helm3")
    written = (manifests.MANIFESTS / f"{example}.yaml").read_text()
    assert written == manifests.text(binary, example), "run `make manifests`"


def test_there_is_no_other_plain_manifest() -> None:
    assert sorted(path.stem for path in manifests.MANIFESTS.iterdir()) == EXAMPLES


def test_what_a_cluster_needs_around_runs_is_accepted_too() -> None:
    for path in (manifests.MANIFESTS.parent / "cluster").glob("*.yaml"):
        for body in yaml.safe_load_all(path.read_text()):
            if body["apiVersion"].startswith("kind."):
                continue
            check(body)
            for pod in templates(body):
                assert pod["spec"]["containers"][0]["image"].count(":") == 1
