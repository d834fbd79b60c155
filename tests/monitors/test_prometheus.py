"""What Prometheus reads."""

from __future__ import annotations

import socket
from urllib.request import urlopen

import pytest

from job.errors import SettingsError
from job.monitors.prometheus import Exporter
from job.telemetry import figures, milestone, watched


def test_prometheus_reads_the_latest_figures() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen at FINETUNE_METRICS__PORT={port}"):
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
