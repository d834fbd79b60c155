"""What a launcher says of its decision: what has changed, object by object, and why it skipped."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from job.cluster import Cluster
from job.launch.decision import UNKNOWN, Decision
from job.launch.launcher import Launcher
from job.runs.record import Run
from job.runtime.stop import StopSignal
from job.settings import Data, Settings, Train
from job.store import open_store
from tests.launch.conftest import BODY, Release


def launcher(release: Release, settings: Settings | None = None, image: str = "i") -> Launcher:
    body = copy.deepcopy(BODY)
    body["metadata"]["annotations"]["finetune/image"] = image
    store = open_store(release.settings.output)
    return Launcher(settings or release.settings, StopSignal(30), Cluster(), store, body)


def ended_well(release: Release) -> str:
    """Let the run that was launched end; its id."""
    run_id = release.record().run_id
    store = open_store(release.settings.output)
    Run.open(store, "model", run_id, release.settings).finish("done", {"model": "s3://x"})
    release.api.one("jobs")["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    return run_id


def test_what_has_changed_is_named(release: Release) -> None:
    release.launch()
    assert launched(release).why == "nothing was launched before"
    ended_well(release)
    folder = release.data.parent
    changed = {
        "train": Train(epochs=7),
        "data": Data.model_validate({"train": str(folder / "*.csv")}),
    }
    for name in ("e", "f", "g", "h"):
        (folder / f"{name}.csv").write_text("text,label\nx,y\n")
    release.data.unlink()
    settings = release.settings.model_copy(update=changed)
    decision, _ = launcher(release, settings, image="i:2")._decide()
    assert decision.why.startswith(
        f"4 objects are new ({folder}/e.csv, {folder}/f.csv, {folder}/g.csv and 1 more); "
        f"1 object is gone ({folder}/train.csv); FINETUNE_DATA__TRAIN was "
    )
    assert decision.why.endswith(
        "FINETUNE_TRAIN__EPOCHS was 3.0 and is 7.0; the image was i and is i:2"
    )


def launched(release: Release) -> Decision:
    decision = release.record().decision
    assert decision is not None
    return decision


def test_an_object_that_has_other_content_is_named_and_the_run_is_launched_for_that(
    release: Release,
) -> None:
    release.launch()
    first = ended_well(release)
    release.launch_other()
    decision = launched(release)
    assert decision.run_id != first
    assert decision.why == f"1 object is no longer the same ({release.data})"
    assert (decision.image, decision.skip) == ("i", False)
    assert decision.at > 0


def test_a_skip_is_recorded_with_its_reason(release: Release) -> None:
    release.launch()
    run_id = ended_well(release)
    result = launcher(release).launch()
    assert result.facts["skipped"] == "nothing has changed since the last good run"
    decision = launched(release)
    assert decision.skip
    assert str(decision) == f"skipped {run_id}: nothing has changed since the last good run"
    assert release.record().run_id == run_id


@pytest.mark.parametrize("content", [None, b"{"])
def test_where_it_is_not_known_what_the_last_run_was_launched_for(
    release: Release, content: bytes | None
) -> None:
    release.launch()
    path = Path(str(release.settings.output), "model/runs", ended_well(release), "launch.json")
    path.unlink()
    if content:
        path.write_bytes(content)
    release.data.write_text("text,label\nx,y\n")
    assert launcher(release)._decide()[0].why == UNKNOWN
