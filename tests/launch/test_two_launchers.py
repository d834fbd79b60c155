"""Two launchers of one release at once, while the data changes: one run of it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from job.cluster import Cluster, Object
from job.commands import find
from job.errors import ClusterError, Conflict, DataError, Stopped
from job.launch import Launcher, Wanted
from job.launch.decision import Decision, Launched, Record
from job.runs.record import Run
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


def nothing() -> None:
    """What happens around a request where nothing does."""


class Busy(Cluster):
    """An API server with which something else happens before and after it creates a run's object."""

    def __init__(
        self, before: Callable[[], None] = nothing, after: Callable[[], None] = nothing
    ) -> None:
        super().__init__(attempts=1)
        self._before, self._after = before, after

    def create(self, body: Object) -> Object:
        """Create it, in time."""
        self._before()
        created = super().create(body)
        self._after()
        return created


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


def test_a_launcher_that_is_overtaken_while_it_creates_follows_the_other_s_run(
    release: Release,
) -> None:
    release.launch(Busy(before=release.launch_other))
    (run,) = release.runs()
    assert release.record().run_id == run, "the other's, which was first at the API server"
    assert release.record().pending == ""
    release.launch_other()
    assert release.runs() == {run}


def test_a_launcher_that_comes_when_the_run_is_created_follows_it(release: Release) -> None:
    release.launch(Busy(after=release.launch_other))
    assert release.runs() == {release.record().run_id}


def test_what_a_killed_launcher_asked_for_may_still_come(release: Release) -> None:
    late: list[Object] = []

    class Lost(Cluster):
        """Whose answer never comes, and whose request comes late."""

        def create(self, body: Object) -> Object:
            late.append(body)
            raise ClusterError("no answer")

    with pytest.raises(ClusterError):
        release.launch(Lost())
    first = release.record()
    assert first.pending == late[0]["metadata"]["name"]
    release.launch_other()
    (run,) = release.runs()
    assert run != first.run_id, "the data has changed since"
    Cluster().create(late[0])
    assert release.runs() == {run}, "its name is taken"
    assert release.record().pending == ""

    release.end()
    release.launch_other()
    assert len(release.runs()) == 2, "the next run has a name of its own"


def test_a_request_that_comes_before_the_next_launcher_s_is_followed(release: Release) -> None:
    def lost() -> None:
        raise ClusterError("no answer")

    with pytest.raises(ClusterError):
        release.launch(Busy(after=lost))
    (run,) = release.runs()
    release.launch_other()
    assert release.runs() == {run}


def test_of_two_that_decide_at_once_one_gives_way(release: Release) -> None:
    class Slow(Launcher):
        """Another launcher is there before this one has written what it decided."""

        def _decide(self) -> tuple[Decision, Wanted]:
            decided = super()._decide()
            release.launch_other()
            return decided

    store = open_store(release.settings.output)
    with pytest.raises(Conflict, match="another launcher has begun a run"):
        Slow(release.settings, StopSignal(30), Cluster(), store, BODY).launch()
    assert len(release.runs()) == 1


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_the_end_that_no_launcher_has_seen_is_shown_by_the_next(
    release: Release, kind: str
) -> None:
    release.launch()  # and is killed while it follows
    (run,) = release.runs()
    release.api.one("jobs")["status"] = {"conditions": [{"type": kind, "status": "True"}]}
    record = Run.open(open_store(release.settings.output), "model", run, release.settings)
    if kind == "Complete":
        record.finish("done", {"model": "s3://x"})
    else:
        record.failed(DataError("the rows are wrong"))
    store = open_store(release.settings.output)
    launcher = Launcher(release.settings, StopSignal(30), Cluster(), store, BODY)
    decision, _ = launcher._decide()
    annotations = release.api.one("jobs")["metadata"]["annotations"]
    if kind == "Complete":
        assert decision.skip
        assert annotations["finetune/status"] == "done"
        assert annotations["finetune/model"] == "s3://x"
    else:
        assert decision.run_id == f"{run}-1"
        assert annotations["finetune/status"].startswith("failed: the rows are wrong")
        assert "the rows are wrong" in release.record().failure
