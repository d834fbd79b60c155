"""Writes k8s/manifests: each of the chart's examples as plain manifests, for those who use no Helm.

`make manifests` runs it; CI fails where a file is not what it would write.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE / "finetune" / "examples"
MANIFESTS = HERE.parent / "k8s" / "manifests"
NAMESPACE = "finetune"

HEAD = """\
# `make manifests` made this of helm/finetune/examples/{name}.yaml.
#   kubectl apply --namespace {namespace} -f k8s/manifests/{name}.yaml
"""


def examples() -> list[str]:
    """The names of the chart's examples."""
    return sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def text(helm: str, name: str) -> str:
    """The manifests of one example; without the pod of `helm test`, which is Helm's alone.

    Raises:
        CalledProcessError: helm refuses the example.
    """
    chart = str(HERE / "finetune")
    values = str(EXAMPLES / f"{name}.yaml")
    words = [helm, "template", name, chart, "--namespace", NAMESPACE, "--skip-tests", "-f", values]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return HEAD.format(name=name, namespace=NAMESPACE) + done.stdout


if __name__ == "__main__":
    from helm.binaries import find

    binary = find("helm3")
    assert binary, "make install brings helm"
    for name in examples():
        (MANIFESTS / f"{name}.yaml").write_text(text(binary, name), encoding="utf-8")
