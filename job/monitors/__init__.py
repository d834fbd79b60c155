"""A run's progress where people look besides the log: the store, the cluster, Kubeflow's trainer, Prometheus.

A `Reporter` is told by telemetry and hands on from a thread of its own, not more often than the
settings say; whatever goes wrong with that is one line in the log, and never the run's concern.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from job.cluster import Cluster, Object, Resource
from job.errors import ClusterError, JobError
from job.runtime.device import StopSignal
from job.settings import Settings
from job.store import Store
from job.telemetry import log, warn, watched

FILE = "progress.json"
KEPT = 20
"""Milestones that are kept; of many between two reports the last ones count."""
FIGURES = ("step", "total_steps", "epoch", "loss", "metric", "eta_seconds", "model")
"""Figures that are shown as annotations, and the run's metric by its own name."""


@dataclass(frozen=True)
class Milestone:
    """Something that was reached: `number` counts within an attempt."""

    number: int
    reason: str
    message: str


@dataclass(frozen=True)
class Report:
    """What is known of a run's progress at some time."""

    attempt: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    milestones: tuple[Milestone, ...] = ()

    @classmethod
    def read(cls, data: bytes) -> Report:
        """What the store holds."""
        value = json.loads(data)
        milestones = tuple(Milestone(**item) for item in value["milestones"])
        return cls(value["attempt"], value["figures"], milestones)

    def json(self) -> bytes:
        """What the store is given."""
        return json.dumps(asdict(self), indent=1, default=str).encode()


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


@contextmanager
def reporting(
    settings: Settings, store: Store, prefix: str, attempt: int, stop: StopSignal
) -> Iterator[None]:
    """Report the progress of a run's attempt, within; the first process of a world does."""
    sinks: list[Callable[[Report], None]] = [
        lambda report: _ignore(store.put(f"{prefix}/{FILE}", report.json()))
    ]
    if settings.progress.annotate:
        resource, name = Resource.named(settings.progress.annotate)
        try:
            sinks.append(InCluster(Cluster(attempts=1), resource, name))
        except JobError as error:
            log.warning(str(error))
    if os.environ.get("KUBEFLOW_TRAINER_SERVER_URL"):
        sinks.append(to_trainer)
    with ExitStack() as stack:
        reporter = Reporter(sinks, settings.progress.every_seconds, attempt, stop)
        stack.callback(reporter.close)
        stack.enter_context(watched(reporter))
        if settings.metrics.port:
            from job.monitors.prometheus import Exporter

            exporter = Exporter(settings.metrics.port)
            stack.callback(exporter.close)
            stack.enter_context(watched(exporter))
        yield


def _ignore(tag: str) -> None:
    """A tag is for conditional writes; the last report wins here."""
