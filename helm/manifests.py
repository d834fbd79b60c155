"""Writes k8s/manifests: each of the chart's examples as plain manifests, for use without Helm.

`make manifests` runs it; a test fails where a file is not what it would write.
"""

from __future__ import annotations

from helm import binaries, cli

EXAMPLES = cli.CHART / "examples"
MANIFESTS = cli.CHART.parents[1] / "k8s" / "manifests"
NAMESPACE = "finetune"

HEAD = """\
# `make manifests` made this from helm/finetune/examples/{name}.yaml.
#   kubectl apply --namespace {namespace} -f k8s/manifests/{name}.yaml
"""


def examples() -> list[str]:
    """The names of the chart's examples."""
    return sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def text(binary: str, name: str) -> str:
    """The manifests of one example, without the pod of `helm test`, which only Helm runs.

    Raises:
        ValueError: helm refuses the example.
    """
    values = EXAMPLES / f"{name}.yaml"
    head = HEAD.format(name=name, namespace=NAMESPACE)
    return head + cli.template(binary, name, NAMESPACE, values, "--skip-tests")


def write(binary: str) -> None:
    """Write the manifests of every example."""
    for name in examples():
        (MANIFESTS / f"{name}.yaml").write_text(text(binary, name), encoding="utf-8")


if __name__ == "__main__":
    write(binaries.find("helm3"))
