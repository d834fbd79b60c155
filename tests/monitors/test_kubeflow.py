"""The status of a TrainJob, at an endpoint like the trainer's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from job.monitors import reporting
from job.monitors.kubeflow import KubeflowSink
from job.monitors.report import Report
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.store import open_store
from job.telemetry import figures


@contextmanager
def trainer(status: int = 200) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Its address, and what it receives: the authorization and the body of each request."""
    received: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            return

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.headers["Authorization"], json.loads(data)))
            self.send_response(status)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/status", received
    finally:
        server.shutdown()
        server.server_close()


def test_kubeflow_s_trainer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("abc\n")
    with trainer() as (url, received):
        monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", url)
        monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(tmp_path / "token"))
        with reporting(
            Settings(), open_store(str(tmp_path)), "m/runs/r/progress.json", 1, StopSignal(30)
        ):
            figures(step=1, total_steps=4, loss=2.0, metric="f1")
            figures(step=3, total_steps=4, loss=1.5)
    authorization, body = received[-1]
    assert authorization == "Bearer abc"
    status = body["trainerStatus"]
    assert status["progressPercentage"] == 75
    assert status["estimatedRemainingSeconds"] >= 0
    assert {"name": "loss", "value": "1.5"} in status["metrics"]
    assert status["lastUpdatedTime"]


def test_a_trainer_that_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    with trainer(403) as (url, _), pytest.raises(httpx.HTTPStatusError):
        KubeflowSink(url, tmp_path / "token")(Report(1, {"step": 1}))


def test_outside_of_a_trainjob_there_is_none() -> None:
    assert KubeflowSink.of({}) is None
    assert KubeflowSink.of({"KUBEFLOW_TRAINER_SERVER_URL": ""}) is None
