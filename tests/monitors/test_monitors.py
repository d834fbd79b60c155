"""Progress besides the log: at most so often, in the cluster and at the trainer's, and never a failure."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from job.cluster import Cluster, Resource
from job.errors import SettingsError
from job.monitors import reporting
from job.monitors.cluster import InCluster, annotated
from job.monitors.prometheus import Exporter
from job.monitors.report import Milestone, Report
from job.monitors.reporter import Reporter
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.store import open_store
from job.telemetry import figures, milestone, watched
from tests.support.kubernetes_api import Api, api_server

JOBS = Resource("batch", "v1", "jobs")
STOP = StopSignal(30)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    with api_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"}, "spec": {}}
        Cluster().create(body)
        yield server


def test_reports_are_as_few_as_wanted_and_the_last_one_is_whole() -> None:
    reports: list[Report] = []
    reporter = Reporter([reports.append], every_seconds=0.3, attempt=2, stop=STOP)
    began = time.monotonic()
    with watched(reporter):
        milestone("Started", "run", run_id="r")
        for step in range(1, 101):
            figures(step=step, total_steps=100, loss=1 / step)
            if step % 10 == 0:
                milestone("Checkpointed", "checkpoint committed", step=step)
            time.sleep(0.01)
    spent = time.monotonic() - began
    reporter.close()
    assert 2 <= len(reports) <= spent / 0.3 + 3
    last = reports[-1]
    assert (last.attempt, last.figures["step"], last.figures["eta_seconds"]) == (2, 100, 0)
    assert [m.number for m in last.milestones] == list(range(1, 12))
    assert last.milestones[-1].message == "checkpoint committed, step 100"
    assert Report.read(last.json()) == last


def test_what_goes_wrong_with_it_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Report] = []

    def broken(report: Report) -> None:
        raise RuntimeError("no such luck")

    reporter = Reporter([broken, seen.append], every_seconds=0.01, attempt=1, stop=STOP)
    with watched(reporter):
        milestone("Started", "run")
    reporter.close()
    assert seen


def test_annotations_and_events_of_the_job(api: Api) -> None:
    sink = InCluster(Cluster(), JOBS, "run")
    checkpoints = [Milestone(n, "Checkpointed", f"step {n}") for n in (2, 3)]
    first = (Milestone(1, "Started", "run r"), *checkpoints)
    found = {"step": 3, "loss": 0.123456789, "metric": "f1", "eval_f1": 0.5, "grad_norm": 9}
    sink(Report(1, found, first))
    sink(Report(1, found, first))
    sink(Report(2, {"step": 4}, (Milestone(1, "Resumed", "at 3"),)))
    assert api.one("jobs")["metadata"]["annotations"] == {
        "finetune/step": "4",
        "finetune/loss": "0.123457",
        "finetune/metric": "f1",
        "finetune/eval-f1": "0.5",
    }
    told = [("Started", "run r"), ("Checkpointed", "step 3"), ("Resumed", "at 3")]
    assert api.events("run") == told, "of many checkpoints the last; nothing twice"


def test_a_job_that_is_gone_and_rights_that_are_missing(api: Api, tmp_path: Path) -> None:
    InCluster(Cluster(), JOBS, "other")(Report(1, {"step": 1}, ()))
    api.forbidden.add("PATCH jobs")
    settings = Settings.model_validate(
        {"progress": {"annotate": "batch/v1/jobs/run", "every_seconds": 0.05}}
    )
    store = open_store(str(tmp_path / "store"))
    with reporting(settings, store, "m/runs/r", 3, STOP):
        for step in range(20):
            figures(step=step)
            time.sleep(0.02)
    assert api.asked.count("PATCH jobs") == 1, "what is forbidden stays so"
    report = Report.read(store.get("m/runs/r/progress.json"))
    assert (report.attempt, report.figures["step"]) == (3, 19)


def test_annotations_are_text() -> None:
    assert annotated({"step": 10, "epoch": 0.5, "eta_seconds": 7}) == {
        "finetune/step": "10",
        "finetune/epoch": "0.5",
        "finetune/eta-seconds": "7",
    }


@contextmanager
def trainer() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """The endpoint of Kubeflow's trainer: its address, and what it was told."""
    told: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            return

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            told.append((self.headers["Authorization"], json.loads(data)))
            self.send_response(200)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/status", told
    finally:
        server.shutdown()
        server.server_close()


def test_kubeflow_s_trainer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("abc\n")
    with trainer() as (url, told):
        monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", url)
        monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(tmp_path / "token"))
        with reporting(Settings(), open_store(str(tmp_path)), "m/runs/r", 1, STOP):
            figures(step=1, total_steps=4, loss=2.0, metric="f1")
            figures(step=3, total_steps=4, loss=1.5)
    authorization, body = told[-1]
    assert authorization == "Bearer abc"
    status = body["trainerStatus"]
    assert status["progressPercentage"] == 75
    assert status["estimatedRemainingSeconds"] >= 0
    assert {"name": "loss", "value": "1.5"} in status["metrics"]
    assert status["lastUpdatedTime"]


def test_prometheus_reads_the_latest_figures() -> None:
    with trainer() as (url, _):
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(SettingsError, match="cannot be listened at"):
            Exporter(port)
    exporter = Exporter(port)  # free again
    try:
        with watched(exporter):
            figures(step=7, loss=0.25, eval_f1=0.5, model="s3://x")
            milestone("Resumed", "resumed", step=6)
        text = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    finally:
        exporter.close()
    for line in (
        "finetune_step 7.0",
        "finetune_loss 0.25",
        'finetune_evaluation{metric="f1"} 0.5',
        'finetune_milestones_total{reason="Resumed"} 1.0',
    ):
        assert line in text
