"""Collects milestones and figures as telemetry names them, and hands reports to the sinks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from job.errors import ClusterError
from job.monitors.report import KEPT_MILESTONES, Milestone, Report, Sink
from job.runtime.stop import StopSignal
from job.telemetry import warn
from job.text import one_line

AGAIN_SECONDS = 2.0
"""Between two tries of the last report."""


class Reporter:
    """A watcher of telemetry; each sink has a thread of its own, so that none holds up a step, or
    another sink."""

    def __init__(
        self, sinks: Sequence[Sink], every_seconds: float, attempt: int, stop: StopSignal
    ) -> None:
        """
        Args:
            every_seconds: between two reports at least.
        """
        self._stop = stop
        self._report = Report(attempt)
        self._estimate = _Estimate()
        self._lock = threading.Lock()
        self._deliveries = [_Delivery(sink, lambda: self._report, every_seconds) for sink in sinks]

    def reached(self, reason: str, message: str) -> None:
        """A milestone; handed on at once, if the last report was long enough ago."""
        with self._lock:
            before = self._report.milestones
            number = before[-1].number + 1 if before else 1
            new = Milestone(number, reason, message, time.time())
            milestones = (*before, new)[-KEPT_MILESTONES:]
            self._report = replace(self._report, milestones=milestones)
        for delivery in self._deliveries:
            delivery.wake()

    def figures(self, **figures: Any) -> None:
        """The latest figures, beside those that are known already."""
        eta = self._estimate.eta(figures)
        with self._lock:
            merged = {**self._report.figures, **eta, **figures}
            self._report = replace(self._report, figures=merged)

    def close(self, seconds: float) -> None:
        """Hand on the last report, and try again where that fails: for so many seconds, and no longer
        than a stop leaves time for."""
        until = time.monotonic() + min(seconds, self._stop.seconds_left / 2)
        for delivery in self._deliveries:
            delivery.close(until)
        for delivery in self._deliveries:
            delivery.join(until)


class _Delivery:
    """Hands the latest report to one sink, not more often than every so many seconds, and the last one
    until the sink has taken it."""

    def __init__(self, sink: Sink, latest: Callable[[], Report], every_seconds: float) -> None:
        self._sink, self._latest, self._every = sink, latest, every_seconds
        self._taken = latest()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._until = float("inf")
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something is worth a report."""
        self._wake.set()

    def close(self, until: float) -> None:
        """From now on only the last report counts, until that time."""
        self._until = until
        self._closing.set()
        self._wake.set()

    def join(self, until: float) -> None:
        """Wait for the last report, until that time; a request that is on its way may end later."""
        self._thread.join(timeout=max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        welcome = True
        while welcome and not self._closing.is_set():
            self._wake.wait(self._every)
            self._wake.clear()
            welcome = self._deliver()
            self._closing.wait(self._every)
        while welcome and self._latest() is not self._taken and time.monotonic() < self._until:
            if (welcome := self._deliver()) and self._latest() is not self._taken:
                time.sleep(min(AGAIN_SECONDS, self._every))

    def _deliver(self) -> bool:
        """Whether the sink may be asked again."""
        report = self._latest()
        if report is self._taken:
            return True
        try:
            self._sink(report)
        except Exception as error:  # noqa: BLE001 - a sink may fail in any way, and must not fail the run
            warn("progress could not be shown", reason=one_line(error))
            # it will not be allowed later
            return not (isinstance(error, ClusterError) and error.exit_code == 77)
        self._taken = report
        return True


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
