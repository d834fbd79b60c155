"""A run's progress where people look besides the log: the store, the cluster, Kubeflow's trainer, Prometheus.

A `Reporter` is told by telemetry and hands on from a thread of its own, not more often than the
settings say; whatever goes wrong with that is one line in the log, and never the run's concern.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from job.cluster import Cluster, Resource
from job.errors import JobError
from job.monitors.cluster import InCluster
from job.monitors.kubeflow import to_trainer
from job.monitors.report import Report
from job.monitors.reporter import Reporter
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.store import Store, layout
from job.telemetry import log, watched


@contextmanager
def reporting(
    settings: Settings, store: Store, prefix: str, attempt: int, stop: StopSignal
) -> Iterator[None]:
    """Report the progress of a run's attempt, within; the first process of a world does."""
    sinks: list[Callable[[Report], None]] = [
        lambda report: _ignore(store.put(f"{prefix}/{layout.PROGRESS}", report.json()))
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
