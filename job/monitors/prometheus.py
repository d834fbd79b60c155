"""Figures for Prometheus, served at a port by the run's first process."""

from __future__ import annotations

from typing import Any

from job.errors import SettingsError

GAUGES = {
    "step": "Optimizer steps that are done",
    "total_steps": "Optimizer steps in all",
    "epoch": "Passes over the training rows",
    "loss": "The last step's loss",
    "grad_norm": "The last step's gradient norm, before clipping",
    "learning_rate": "The last step's learning rate",
    "rows_per_second": "Rows trained on a second, without evaluations and checkpoints",
}


class Exporter:
    """A watcher of telemetry that keeps `finetune_…` metrics and serves them."""

    def __init__(self, port: int) -> None:
        """
        Raises:
            SettingsError: the port is taken, or not allowed.
        """
        from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

        registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"finetune_{name}", help_, registry=registry)
            for name, help_ in GAUGES.items()
        }
        self._scores = Gauge(
            "finetune_evaluation", "The last evaluation's scores", ["metric"], registry=registry
        )
        self._milestones = Counter(
            "finetune_milestones", "Milestones of this process", ["reason"], registry=registry
        )
        try:
            self._server, _ = start_http_server(port, registry=registry)
        except OSError as error:
            raise SettingsError(
                f"cannot listen at FINETUNE_METRICS__PORT={port} ({error.strerror})",
                hint="choose a port that is free and above 1023",
            ) from None

    def reached(self, reason: str, message: str) -> None:
        """Count a milestone."""
        self._milestones.labels(reason).inc()

    def figures(self, **figures: Any) -> None:
        """Set the gauges to the latest figures."""
        for name, value in figures.items():
            if gauge := self._gauges.get(name):
                gauge.set(float("nan") if value is None else value)
            elif name.startswith("eval_"):
                self._scores.labels(name.removeprefix("eval_")).set(value)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
