"""Collects milestones and figures as telemetry names them, and hands reports to the sinks."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from job.errors import ClusterError
from job.monitors.report import KEPT_MILESTONES, Milestone, Report, Sink
from job.runtime.stop import StopSignal
from job.telemetry import warn

CLOSE_SECONDS = 5.0
"""For the last report."""


class Reporter:
    """A watcher of telemetry with a thread of its own, so that no sink holds up a step."""

    def __init__(
        self, sinks: Sequence[Sink], every_seconds: float, attempt: int, stop: StopSignal
    ) -> None:
        """
        Args:
            every_seconds: between two reports at least.
        """
        self._sinks, self._every, self._stop = list(sinks), every_seconds, stop
        self._report = Report(attempt)
        self._estimate = _Estimate()
        self._lock = threading.Lock()
        self._wake, self._closed, self._changed = threading.Event(), False, False
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)
        self._thread.start()

    def reached(self, reason: str, message: str) -> None:
        """A milestone; handed on at once, if the last report was long enough ago."""
        with self._lock:
            before = self._report.milestones
            new = Milestone(before[-1].number + 1 if before else 1, reason, message)
            milestones = (*before, new)[-KEPT_MILESTONES:]
            self._report = replace(self._report, milestones=milestones)
            self._changed = True
        self._wake.set()

    def figures(self, **figures: Any) -> None:
        """The latest figures, beside those that are known already."""
        eta = self._estimate.eta(figures)
        with self._lock:
            merged = {**self._report.figures, **figures, **eta}
            self._report = replace(self._report, figures=merged)
            self._changed = True

    def close(self) -> None:
        """Hand on what is left, for a few seconds at most, and no longer than a stop leaves time for."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout=max(0.0, min(CLOSE_SECONDS, self._stop.seconds_left / 4)))

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(self._every)
            self._wake.clear()
            self._hand_on()
            until = time.monotonic() + self._every
            while not self._closed and time.monotonic() < until:
                time.sleep(min(0.2, self._every))
        self._hand_on()

    def _hand_on(self) -> None:
        with self._lock:
            report, changed, self._changed = self._report, self._changed, False
        for sink in list(self._sinks) if changed else ():
            try:
                sink(report)
            except Exception as error:  # noqa: BLE001 - a sink may fail in any way, and must not fail the run
                warn("progress could not be shown", reason=str(error)[:300])
                if isinstance(error, ClusterError) and error.exit_code == 77:
                    self._sinks.remove(sink)  # it will not be allowed later


class _Estimate:
    """How long the run will take, by its steps since this attempt began."""

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None

    def eta(self, figures: Mapping[str, Any]) -> dict[str, int]:
        """`eta_seconds`, where steps and their total are known."""
        step, total = figures.get("step"), figures.get("total_steps")
        if step is None or not total:
            return {}
        now = time.monotonic()
        if self._start is None:
            self._start = (now, step)
        began, first = self._start
        if step <= first:
            return {}
        return {"eta_seconds": round((now - began) / (step - first) * (total - step))}
