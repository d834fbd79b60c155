"""Collects what telemetry tells, and hands it on now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from job.errors import ClusterError
from job.monitors.report import KEPT, Milestone, Report
from job.runtime.stop import StopSignal
from job.telemetry import warn


class Reporter:
    """Collects what telemetry tells, and hands it on now and then."""

    def __init__(
        self,
        sinks: list[Callable[[Report], None]],
        every_seconds: float,
        attempt: int,
        stop: StopSignal,
    ) -> None:
        self._sinks, self._every, self._stop = sinks, every_seconds, stop
        self._report = Report(attempt)
        self._rate = _Rate()
        self._lock = threading.Lock()
        self._wake, self._closed, self._news = threading.Event(), False, False
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)
        self._thread.start()

    def reached(self, reason: str, message: str) -> None:
        """A milestone; handed on at once, if the last report was long enough ago."""
        with self._lock:
            before = self._report.milestones
            new = Milestone(before[-1].number + 1 if before else 1, reason, message)
            self._report = replace(self._report, milestones=(*before, new)[-KEPT:])
            self._news = True
        self._wake.set()

    def figures(self, **figures: Any) -> None:
        """The latest figures, beside those that are known already."""
        eta = self._rate.eta(figures)
        with self._lock:
            merged = {**self._report.figures, **figures, **eta}
            self._report = replace(self._report, figures=merged)
            self._news = True

    def close(self) -> None:
        """Hand on what is left, for a few seconds at most; a stop leaves no more than its grace period."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout=max(0.0, min(5.0, self._stop.seconds_left / 4)))

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
            report, news, self._news = self._report, self._news, False
        for sink in list(self._sinks) if news else ():
            try:
                sink(report)
            except Exception as error:  # noqa: BLE001 - progress must never fail a run
                warn("progress could not be shown", reason=str(error)[:300])
                if isinstance(error, ClusterError) and error.exit_code == 77:
                    self._sinks.remove(sink)  # it will not be allowed later


class _Rate:
    """How long it will take, by the steps since this attempt began."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def eta(self, figures: Mapping[str, Any]) -> dict[str, int]:
        """`eta_seconds`, where steps and their total are known."""
        step, total = figures.get("step"), figures.get("total_steps")
        if step is None or not total:
            return {}
        now = time.monotonic()
        if self._first is None:
            self._first = (now, step)
        began, first = self._first
        if step <= first:
            return {}
        return {"eta_seconds": round((now - began) / (step - first) * (total - step))}
