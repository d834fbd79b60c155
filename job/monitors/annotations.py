"""Progress at an object in the cluster: its annotations hold the figures, Events about it the milestones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from job.cluster import Cluster, Object, Resource, is_held
from job.monitors.report import Milestone, Report

FIGURES = ("status", "step", "total_steps", "epoch", "loss", "metric", "eta_seconds", "model")
"""Figures that are shown as annotations, beside the run's metric under its own name."""
STATUS = "finetune/status"
EVENT_SECONDS = 3600.0
"""How long an API server keeps Events; a milestone that is older is not shown as a new one."""


def annotations_of(figures: Mapping[str, Any]) -> dict[str, str | None]:
    """Figures as annotations of an object, under `finetune/`; one that is None is to be removed."""
    shown = {name: figures[name] for name in FIGURES if name in figures}
    metric = f"eval_{figures.get('metric')}"
    if metric in figures:
        shown[metric] = figures[metric]
    return {f"finetune/{name.replace('_', '-')}": _text(v) for name, v in shown.items()}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class ClusterSink:
    """Shows reports at one object; one that does not exist is shown nothing.

    What another process has shown already, such as a launcher that was killed, is shown once: annotations
    are what they were, and an Event of the same milestone has the same name.
    """

    def __init__(self, cluster: Cluster, resource: Resource, name: str) -> None:
        self._cluster, self._resource, self._name = cluster, resource, name
        self._object: Object | None = None
        self._shown: Report | None = None
        self._last_event = (0, 0)

    def __call__(self, report: Report) -> None:
        """Show what is new in a report.

        Raises:
            ClusterError: the API server did not do what it was asked.
        """
        if report == self._shown:
            return
        stopped = str(report.figures.get("status", "")).startswith("stopped")
        if self._object is None or stopped:
            self._object = self._cluster.get(self._resource, self._name)
        if self._object is None:
            return
        annotations = annotations_of(report.figures)
        if stopped and is_held(self._object):
            annotations[STATUS] = f"{annotations[STATUS]} by its queue"
        if annotations:
            self._cluster.annotate(self._resource, self._name, annotations)
        self._add_events(self._object, report)
        self._shown = report

    def _add_events(self, about: Object, report: Report) -> None:
        latest: dict[str, Milestone] = {}
        for milestone in report.milestones:
            if (report.attempt, milestone.number) > self._last_event:
                latest[milestone.reason] = milestone  # of several checkpoints the last one
        for milestone in sorted(latest.values(), key=lambda milestone: milestone.number):
            if time.time() - milestone.at < EVENT_SECONDS:
                key = f"{report.attempt}.{milestone.number}.{milestone.reason}"
                self._cluster.add_event(about, milestone.reason, milestone.message, key=key)
            self._last_event = (report.attempt, milestone.number)
