"""Progress at an object in the cluster: its annotations hold the figures, Events about it the milestones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job.cluster import Cluster, Object, Resource
from job.monitors.report import Milestone, Report

FIGURES = ("step", "total_steps", "epoch", "loss", "metric", "eta_seconds", "model")
"""Figures that are shown as annotations, beside the run's metric under its own name."""


def annotations_of(figures: Mapping[str, Any]) -> dict[str, str]:
    """Figures as annotations of an object, under `finetune/`."""
    shown = {name: figures[name] for name in FIGURES if name in figures}
    metric = f"eval_{figures.get('metric')}"
    if metric in figures:
        shown[metric] = figures[metric]
    return {
        f"finetune/{name.replace('_', '-')}": f"{v:.6g}" if isinstance(v, float) else str(v)
        for name, v in shown.items()
    }


class ClusterSink:
    """Shows reports at one object; one that does not exist is shown nothing."""

    def __init__(
        self, cluster: Cluster, resource: Resource, name: str, *, shown: Report | None = None
    ) -> None:
        """
        Args:
            shown: the last report that another process has shown there.
        """
        self._cluster, self._resource, self._name = cluster, resource, name
        self._object: Object | None = None
        self._shown = shown
        last = shown.milestones[-1].number if shown and shown.milestones else 0
        self._last_event = (shown.attempt, last) if shown else (0, 0)

    def __call__(self, report: Report) -> None:
        """Show what is new in a report.

        Raises:
            ClusterError: the API server did not do what it was asked.
        """
        if report == self._shown:
            return
        self._object = self._object or self._cluster.get(self._resource, self._name)
        if self._object is None:
            return
        if annotations := annotations_of(report.figures):
            self._cluster.annotate(self._resource, self._name, annotations)
        latest: dict[str, Milestone] = {}
        for milestone in report.milestones:
            if (report.attempt, milestone.number) > self._last_event:
                latest[milestone.reason] = milestone  # of several checkpoints the last one
        for milestone in sorted(latest.values(), key=lambda milestone: milestone.number):
            self._cluster.add_event(self._object, milestone.reason, milestone.message)
            self._last_event = (report.attempt, milestone.number)
        self._shown = report
