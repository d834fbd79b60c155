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
PEERS = "finetune-peers"
"""The Secret of runs with several pods, which the chart would make."""
CREATE = """\
# Once in the namespace, for the pods of a run to know each other by:
#   kubectl create secret generic {peers} --namespace {namespace} --from-literal=token=$(openssl rand -hex 32)
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
    secret = ("--set", f"peers.existingSecret={PEERS}")
    rendered = cli.template(binary, name, NAMESPACE, values, "--skip-tests", *secret)
    head = HEAD.format(name=name, namespace=NAMESPACE)
    if PEERS in rendered:
        head += CREATE.format(peers=PEERS, namespace=NAMESPACE)
    return head + rendered


def write(binary: str) -> None:
    """Write the manifests of every example."""
    for name in examples():
        (MANIFESTS / f"{name}.yaml").write_text(text(binary, name), encoding="utf-8")


if __name__ == "__main__":
    write(binaries.find("helm3"))
