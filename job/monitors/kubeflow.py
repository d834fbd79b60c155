"""Progress for Kubeflow Trainer."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from job.monitors.report import Report


def to_trainer(report: Report) -> None:
    """Kubeflow Trainer's endpoint for a TrainJob's progress, where its variables are set."""
    import httpx

    figures = report.figures
    status: dict[str, Any] = {"lastUpdatedTime": datetime.now(UTC).isoformat()}
    if figures.get("total_steps"):
        status["progressPercentage"] = int(100 * figures.get("step", 0) / figures["total_steps"])
    if "eta_seconds" in figures:
        status["estimatedRemainingSeconds"] = int(figures["eta_seconds"])
    numbers = {k: v for k, v in figures.items() if isinstance(v, (int, float))}
    status["metrics"] = [{"name": name, "value": str(value)} for name, value in numbers.items()]
    token = Path(os.environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]).read_text().strip()
    httpx.post(
        os.environ["KUBEFLOW_TRAINER_SERVER_URL"],
        json={"trainerStatus": status},
        headers={"Authorization": f"Bearer {token}"},
        verify=_trusting(os.environ.get("KUBEFLOW_TRAINER_SERVER_CA_CERT")),
        timeout=5,
    ).raise_for_status()


def _trusting(ca: str | None) -> Any:
    import ssl

    return ssl.create_default_context(cafile=ca) if ca else True
