"""A release of the chart as its launchers see it, in this process: they end where they would follow a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from job.cluster import Cluster, Object
from job.commands import find
from job.errors import Stopped
from job.launch.decision import Launched, Record
from job.launch.launcher import Launcher
from job.runtime.stop import StopSignal
from job.settings import Settings, load
from job.store import open_store
from tests.support.kubernetes_api import NAMESPACE, Api, api_server

BODY: Object = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "labels": {
            "app.kubernetes.io/instance": "demo",
            "app.kubernetes.io/component": "train",
        },
        "annotations": {"finetune/run-id": "", "finetune/image": "i"},
    },
    "spec": {"template": {"metadata": {"annotations": {"finetune/run-id": ""}}}},
}


@dataclass
class Release:
    """What launchers of a release share: a cluster, a store, and data that may change."""

    api: Api
    settings: Settings
    data: Path

    def launch(self, cluster: Cluster | None = None) -> None:
        """A launcher, until it follows a run."""
        store = open_store(self.settings.output)
        launcher = Launcher(self.settings, StopSignal(30), cluster or Cluster(), store, BODY)
        with pytest.raises(Stopped):
            launcher.launch()

    def launch_other(self) -> None:
        """Another launcher, to which the data has changed."""
        self.data.write_text(self.data.read_text() + "c,d\n")
        self.launch()

    def runs(self) -> set[str]:
        """The runs of which there is an object."""
        return {job["metadata"]["annotations"]["finetune/run-id"] for job in self.api.all("jobs")}

    def record(self) -> Launched:
        """What the release has launched last."""
        last = Record(open_store(self.settings.output), "model", NAMESPACE, "demo").last
        assert last is not None
        return last

    def end(self) -> None:
        """Let the run end as failed."""
        self.api.one("jobs")["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}


def stop(seconds: float, signal: StopSignal) -> None:
    """In place of the wait between two looks at a run."""
    raise Stopped("it follows a run")


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Release]:
    data = tmp_path / "train.csv"
    data.write_text("text,label\na,b\n")
    env = {
        "FINETUNE_OUTPUT": str(tmp_path / "store"),
        "FINETUNE_DATA__TRAIN": str(data),
        "FINETUNE_MODEL__NAME": str(tmp_path / "model"),
        "FINETUNE_LAUNCH__MANIFESTS": "unused",
        "FINETUNE_LAUNCH__OWNER": "demo-finetune",
        "FINETUNE_LAUNCH__RELEASE": "demo",
        "FINETUNE_LAUNCH__PREPARE": "none",
    }
    settings = load(env, rules=find("launch").rules).settings
    with api_server() as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))
        monkeypatch.setattr("job.launch.follow._sleep", stop)
        yield Release(api, settings, data)
