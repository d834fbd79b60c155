"""A Job that is being run, in a cluster's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from job.cluster import Cluster
from tests.support.kubernetes_api import Api, api_server


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    """A server whose only object is the Job `run`."""
    with api_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"}, "spec": {}}
        Cluster().create(body)
        yield server
