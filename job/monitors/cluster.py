"""Progress as annotations and Events of an object in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job.cluster import Cluster, Object, Resource
from job.monitors.report import Milestone, Report

FIGURES = ("step", "total_steps", "epoch", "loss", "metric", "eta_seconds", "model")
"""Figures that are shown as annotations, and the run's metric by its own name."""


def annotated(figures: Mapping[str, Any]) -> dict[str, str]:
    """Figures as annotations of an object, under `finetune/`."""
    shown = {name: figures[name] for name in FIGURES if name in figures}
    metric = f"eval_{figures.get('metric')}"
    if metric in figures:
        shown[metric] = figures[metric]
    return {
        f"finetune/{name.replace('_', '-')}": f"{v:.6g}" if isinstance(v, float) else str(v)
        for name, v in shown.items()
    }


class InCluster:
    """Annotations and Events of one object."""

    def __init__(
        self, cluster: Cluster, resource: Resource, name: str, *, told: Report | None = None
    ) -> None:
        """
        Args:
            told: what somebody else has shown already.
        """
        self._cluster, self._resource, self._name = cluster, resource, name
        self._about: Object | None = None
        self._before = told
        last = told.milestones[-1].number if told and told.milestones else 0
        self._told = (told.attempt, last) if told else (0, 0)

    def __call__(self, report: Report) -> None:
        """Show what is new in a report."""
        if report == self._before:
            return
        self._about = self._about or self._cluster.get(self._resource, self._name)
        if self._about is None:
            return
        if found := annotated(report.figures):
            self._cluster.annotate(self._resource, self._name, found)
        latest: dict[str, Milestone] = {}
        for item in report.milestones:
            if (report.attempt, item.number) > self._told:
                latest[item.reason] = item  # of several checkpoints the last one
        for item in sorted(latest.values(), key=lambda item: item.number):
            self._cluster.tell(self._about, item.reason, item.message)
            self._told = (report.attempt, item.number)
        self._before = report
