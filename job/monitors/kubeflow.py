"""Progress in the status of a TrainJob, through the endpoint that Kubeflow Trainer has for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from job.monitors.report import Report

TIMEOUT = 30
"""Seconds for one request; the trainer may be slow."""


@dataclass(frozen=True)
class KubeflowSink:
    """The endpoint, as the trainer names it to its pods."""

    url: str
    token: Path
    """A file, whose content changes with time."""
    ca: str | None = None
    """A file with the certificates to trust."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> KubeflowSink | None:
        """By the trainer's variables; None where there are none."""
        url = environment.get("KUBEFLOW_TRAINER_SERVER_URL")
        if not url:
            return None
        token = Path(environment.get("KUBEFLOW_TRAINER_SERVER_TOKEN", ""))
        return cls(url, token, environment.get("KUBEFLOW_TRAINER_SERVER_CA_CERT"))

    def __call__(self, report: Report) -> None:
        """Send a report.

        Raises:
            OSError: the token cannot be read.
            httpx.HTTPError: the trainer does not take it.
        """
        import httpx

        httpx.post(
            self.url,
            json={"trainerStatus": status_of(report.figures)},
            headers={"Authorization": f"Bearer {self.token.read_text().strip()}"},
            verify=self._trust(),
            timeout=TIMEOUT,
        ).raise_for_status()

    def _trust(self) -> Any:
        import ssl

        return ssl.create_default_context(cafile=self.ca) if self.ca else True


def status_of(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as the trainer's API has them."""
    status: dict[str, Any] = {"lastUpdatedTime": datetime.now(UTC).isoformat()}
    if figures.get("total_steps"):
        status["progressPercentage"] = int(100 * figures.get("step", 0) / figures["total_steps"])
    if figures.get("eta_seconds") is not None:
        status["estimatedRemainingSeconds"] = int(figures["eta_seconds"])
    numbers = {k: v for k, v in figures.items() if isinstance(v, (int, float))}
    status["metrics"] = [{"name": name, "value": str(value)} for name, value in numbers.items()]
    return status
