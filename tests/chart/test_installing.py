"""What Helm asks of the API server, in which order, where a webhook refuses what comes too early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helm import cli
from tests.support.kubernetes_api import NAMESPACE, Api, Body


class Release:
    """A release of the chart in a cluster with Kubeflow Trainer."""

    def __init__(self, binary: str, api: Api, **values: Any) -> None:
        self.binary, self.api, self.values = binary, api, values
        api.anonymous = True
        api.admission = self._trainer

    def __call__(self, command: str, *words: str, **values: Any) -> tuple[list[str], list[str]]:
        """What is there after a command of Helm's: the runtimes and the TrainJobs."""
        takes = command in ("install", "upgrade")
        more = (str(cli.CHART), "--disable-openapi-validation") if takes else words
        given = {**self.values, **values} if takes else None
        arguments = (command, "demo", *more, "--namespace", NAMESPACE)
        done = cli.run(self.binary, *arguments, values=given)
        assert done.returncode == 0, done.stderr
        return self._names("trainingruntimes"), self._names("trainjobs")

    def _names(self, plural: str) -> list[str]:
        return [body["metadata"]["name"] for body in self.api.all(plural)]

    def _trainer(self, method: str, body: Body) -> str | None:
        """Trainer's webhook, which looks at every change of a TrainJob."""
        if body["kind"] != "TrainJob":
            return None
        name = body["spec"]["runtimeRef"]["name"]
        if name in self._names("trainingruntimes"):
            return None
        return f'"{name}" not found: specified trainingRuntime must be created before the TrainJob'


@pytest.fixture
def api(api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Api:
    monkeypatch.setenv("HELM_CACHE_HOME", str(tmp_path / "cache"))
    return api


def test_a_trainjob_comes_after_its_runtime(binary: str, api: Api) -> None:
    helm = Release(binary, api, backend="trainjob", config={"output": "s3://models"})
    first = helm("install")
    assert [len(names) for names in first] == [1, 1]
    second = helm("upgrade", shm="2Gi")
    assert [len(names) for names in second] == [1, 1]
    assert second != first, "the runtime holds the shared memory, and has a new name"
    assert helm("upgrade", shm="2Gi", rerun=1)[0] == second[0], "the same runtime"
    assert helm("rollback", "1") == first
    assert helm("uninstall") == ([], [])


def test_a_trainjob_that_is_kept_keeps_its_runtime(binary: str, api: Api) -> None:
    config = {"output": "s3://models"}
    helm = Release(binary, api, backend="trainjob", upgradePolicy="keep", config=config)
    first = helm("install")
    both = helm("upgrade", shm="2Gi")
    assert [len(names) for names in both] == [2, 2]
    assert first[0][0] in both[0], "the TrainJob that is kept names it"
    assert helm("uninstall") == both
