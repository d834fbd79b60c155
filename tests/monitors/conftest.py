"""A Job that is being run, in a cluster's API."""

from __future__ import annotations

import pytest

from job.cluster import Cluster
from tests.support.kubernetes_api import Api


@pytest.fixture
def api(api: Api) -> Api:
    """A server whose only object is the Job `run`."""
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"}, "spec": {}}
    Cluster().create(body)
    return api
