"""Real servers, started once for all tests that want them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.kubernetes_api import Api, api_server
from tests.support.servers import Server, seaweedfs

# machines that run tests are shared: a slow example is no failure
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A SeaweedFS server with an identity that may do everything and one that may only read."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture
def s3_env(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, with the SDK's variables set for it and nothing of the user's own left."""
    for name in (
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_MAX_ATTEMPTS",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def bucket(s3_env: Server) -> Iterator[str]:
    """The URI of a fresh bucket, with the SDK's variables set for it."""
    name = f"bucket-{secrets.token_hex(6)}"
    client = s3_env.client()  # made before a test breaks the environment
    uri = s3_env.create_bucket(name)
    # the first write makes the bucket's volume; several at once would be told to come back later
    client.put_object(Bucket=name, Key="first", Body=b"")
    client.delete_object(Bucket=name, Key="first")
    yield uri
    client.delete_bucket(Bucket=name)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    """A cluster's API server without objects, named by KUBECONFIG."""
    with api_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        yield server
