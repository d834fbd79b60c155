"""A real cluster: the one that KUBECONFIG names, with the image on its nodes already.

    KUBECONFIG                whose context may make namespaces
    FINETUNE_E2E_IMAGE        the image's name, such as finetune-job:dev; never pulled
    FINETUNE_E2E_S3_ENDPOINT  a store that pods and this machine reach, with AWS_ACCESS_KEY_ID and
                              AWS_SECRET_ACCESS_KEY; by default one is started in the cluster, from
                              the same image and the binary of the tests' own SeaweedFS

Neither the internet nor a GPU is needed.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helm import binaries
from job.demo import tickets
from job.store import Store, open_store
from tests.e2e.kube import Body, Helm, Kube, merged, until
from tests.support.samples import tiny_bert, write_tickets

KEYS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret"}
IDENTITIES = (
    '{"identities": [{"name": "demo", "actions": ["Admin", "Read", "Write", "List"], '
    '"credentials": [{"accessKey": "demo", "secretKey": "demo-secret"}]}]}'
)
# weed comes in by `kubectl exec`; the pod waits for it
WAIT_FOR_WEED = """
import os, time
open("/scratch/s3.json", "w").write(os.environ["IDENTITIES"])
while not os.path.exists("/scratch/weed"):
    time.sleep(0.2)
os.makedirs("/scratch/data", exist_ok=True)
os.execv("/scratch/weed", ["weed", "server", "-dir=/scratch/data", "-ip.bind=0.0.0.0", "-s3", "-s3.port=8333",
    "-s3.config=/scratch/s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=100",
    "-master.volumeSizeLimitMB=1024", "-master.telemetry=false"])
"""
TAKE_WEED = """
import os, shutil, sys
shutil.copyfileobj(sys.stdin.buffer, open("/scratch/weed.part", "wb"))
os.chmod("/scratch/weed.part", 0o755)
os.rename("/scratch/weed.part", "/scratch/weed")
"""


@pytest.fixture(scope="session")
def image() -> str:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster; CONTRIBUTING.md says how to get one with kind")
    name = os.environ.get("FINETUNE_E2E_IMAGE")
    if not name:
        pytest.skip("FINETUNE_E2E_IMAGE names no image that is on the cluster's nodes")
    return name


@pytest.fixture(scope="session")
def kube(image: str) -> Iterator[Kube]:
    """A namespace under the restricted Pod Security Standard, removed at the end."""
    kube = Kube(binaries.find("kubectl"), f"finetune-e2e-{secrets.token_hex(3)}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": kube.namespace, "labels": labels}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        yield kube
    finally:
        kube("delete", "namespace", kube.namespace, "--wait=false")


@pytest.fixture(scope="session")
def endpoint(kube: Kube, image: str) -> Iterator[tuple[str, str]]:
    """The store's endpoint as pods see it, and as this machine does."""
    keys = {name: os.environ.get(name, value) for name, value in KEYS.items()}
    given = os.environ.get("FINETUNE_E2E_S3_ENDPOINT")
    secret = {"stringData": {**(keys if given else KEYS), "AWS_REGION": "us-east-1"}}
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, **secret})
    if given:
        yield given, given
        return
    kube.apply(*_s3(image))
    until(
        lambda: (kube.get("pod", "s3") or {}).get("status", {}).get("phase") == "Running",
        "the pod of the store",
    )
    weed = Path(sys.executable).with_name("weed")
    kube("exec", "-i", "s3", "--", "python3", "-c", TAKE_WEED, stdin=weed)
    with kube.forward("pod/s3", 8333) as port:
        yield f"http://s3.{kube.namespace}:8333", f"http://127.0.0.1:{port}"


def _s3(image: str) -> list[Body]:
    container: Body = {
        "name": "s3",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", WAIT_FOR_WEED],
        "env": [{"name": "IDENTITIES", "value": IDENTITIES}],
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    spec = {
        "containers": [container],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    metadata = {"name": "s3", "labels": {"app": "s3"}}
    ports = [{"port": 8333}]
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s3"},
            "spec": {"selector": {"app": "s3"}, "ports": ports},
        },
    ]


@pytest.fixture(scope="session")
def bucket(endpoint: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A bucket with a small model, as this machine sees it."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    with pytest.MonkeyPatch.context() as patch:
        if "FINETUNE_E2E_S3_ENDPOINT" not in os.environ:
            for name, value in KEYS.items():
                patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", endpoint[1])
        patch.setenv("AWS_REGION", os.environ.get("AWS_REGION", "us-east-1"))
        name = f"finetune-e2e-{secrets.token_hex(4)}"
        client = boto3.client("s3")

        def made() -> bool:
            try:
                client.create_bucket(Bucket=name)
                client.put_object(Bucket=name, Key="ready", Body=b"")
            except (BotoCoreError, ClientError):
                return False
            return True

        until(made, "the store answers", 120)
        store = open_store(f"s3://{name}")
        folder = tiny_bert(tmp_path_factory.mktemp("bert"), [text for text, _ in tickets(300)])
        for path in folder.iterdir():
            store.upload(path, f"base/{path.name}")
        yield store


@pytest.fixture
def rows(bucket: Store, tmp_path: Path) -> Callable[[str, int], None]:
    """Puts so many more rows into the bucket."""

    def put(key: str, count: int) -> None:
        bucket.upload(write_tickets(tmp_path / "rows.csv", count), key)

    return put


@pytest.fixture(params=["helm3", "helm4"], scope="session")
def binary(request: pytest.FixtureRequest) -> str:
    return binaries.find(request.param)


@pytest.fixture
def release(
    kube: Kube,
    image: str,
    bucket: Store,
    endpoint: tuple[str, str],
    rows: Callable[[str, int], None],
) -> Iterator[Callable[..., Helm]]:
    """Makes releases with small values, and uninstalls them."""
    made: list[Helm] = []

    def make(name: str, helm_binary: str | None = None, **values: Any) -> Helm:
        rows(f"{name}/1.csv", 200)
        chosen = helm_binary or binaries.find("helm4")
        base = _values(name, image, str(bucket.uri), endpoint[0])
        made.append(Helm(chosen, kube, name, merged(base, values)))
        return made[-1]

    yield make
    for one in made:
        if one.is_there():
            one("uninstall", "--wait")


def _values(name: str, image: str, uri: str, endpoint: str) -> dict[str, Any]:
    repository, _, tag = image.rpartition(":")
    small = {
        "requests": {"cpu": "100m", "memory": "512Mi"},
        "limits": {"cpu": "2", "memory": "3Gi"},
    }
    return {
        "image": {"repository": repository, "tag": tag},
        "s3": {"endpoint": endpoint, "existingSecret": "s3"},
        "resources": small,
        "launch": {"resources": small},
        "shm": "64Mi",
        "scratch": {"size": "2Gi"},
        "gracePeriodSeconds": 30,
        "config": {
            "name": name,
            "output": uri,
            "data": {"train": f"{uri}/{name}/*.csv", "max_bad_fraction": 0.05},
            "model": {"name": f"{uri}/base"},
            "train": {"epochs": 8, "learning_rate": 5e-3},
        },
    }
