"""Two launchers of one release at once, while the data changes: one run of it trains."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from job.cluster import Cluster, Object
from job.errors import ClusterError, Conflict, DataError
from job.launch.decision import Decision
from job.launch.launcher import Launcher, Wanted
from job.runs.record import Run
from job.runtime.stop import StopSignal
from job.store import open_store
from tests.launch.conftest import BODY, Release


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
