"""Who is told, by the settings: the store always, and a Job as long as that is allowed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from job.errors import Stopped
from job.monitors import reporting
from job.monitors.report import Report
from job.pipeline import _record_end
from job.runs.record import Run
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.store import open_store
from job.telemetry import figures
from tests.support.kubernetes_api import Api

if TYPE_CHECKING:
    from job.distributed.world import World

ANNOTATED = Settings.model_validate(
    {"progress": {"annotate": "batch/v1/jobs/run", "every_seconds": 0.05}}
)


def report_steps(settings: Settings, folder: Path) -> Report:
    """The last report in the store after twenty steps."""
    store = open_store(str(folder / "store"))
    with reporting(settings, store, "m/runs/r/progress.json", 3, StopSignal(30)):
        for step in range(20):
            figures(step=step)
            time.sleep(0.02)
    return Report.read(store.get("m/runs/r/progress.json"))


def test_the_store_and_the_job_are_told(api: Api, tmp_path: Path) -> None:
    report = report_steps(ANNOTATED, tmp_path)
    assert (report.attempt, report.figures["step"]) == (3, 19)
    assert api.one("jobs")["metadata"]["annotations"] == {"finetune/step": "19"}


def test_rights_that_are_missing_are_asked_for_once(api: Api, tmp_path: Path) -> None:
    api.forbidden.add("PATCH jobs")
    report = report_steps(ANNOTATED, tmp_path)
    assert api.asked.count("PATCH jobs") == 1, "what is forbidden stays so"
    assert (report.attempt, report.figures["step"]) == (3, 19)


def test_a_stop_shows_where_the_run_stands(api: Api, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    record = Run.open(store, "m", "r", Settings())
    record.begin_attempt(3)
    with reporting(ANNOTATED, store, record.key("progress.json"), 1, StopSignal(30)):
        figures(step=37, total_steps=1000)
        time.sleep(0.1)
        for step in range(38, 251):
            figures(step=step, total_steps=1000)
        record.progressed("train", 247)
        api.one("jobs")["spec"]["suspend"] = True
        _record_end(record, cast("World", None), Stopped("stopped by a signal at step 250"))
    assert record.state.stopped > 0
    annotations = api.one("jobs")["metadata"]["annotations"]
    assert annotations == {
        "finetune/status": "stopped at step 247 by its queue",
        "finetune/step": "247",
        "finetune/total-steps": "1000",
    }
    assert api.events("run") == [("Stopped", "stopped at step 247")]


def test_a_process_outside_of_any_cluster_reports_to_the_store_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert report_steps(ANNOTATED, tmp_path).figures["step"] == 19
