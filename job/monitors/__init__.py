"""Who is told of a run's progress besides the log: the store, the cluster, Kubeflow Trainer, Prometheus.

Sinks get whole reports from a thread of the `Reporter`, not more often than the settings say;
whatever goes wrong there is one line in the log and never ends a run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from job.cluster import Cluster, Resource
from job.errors import PERMANENT, JobError, Stopped
from job.monitors.annotations import ClusterSink
from job.monitors.kubeflow import KubeflowSink
from job.monitors.report import Report, Sink
from job.monitors.reporter import Reporter
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.store import Store
from job.telemetry import log, watched

END_SECONDS = 90.0
"""For the last report of a run, or of an attempt that was stopped."""
LOST_SECONDS = 5.0
"""For that of an attempt after which another follows."""


@contextmanager
def reporting(
    settings: Settings, store: Store, key: str, attempt: int, stop: StopSignal
) -> Iterator[None]:
    """Report the progress of a run's attempt, within; the first process of a world does.

    Args:
        key: of the reports in the store.

    Raises:
        SettingsError: FINETUNE_PROGRESS__ANNOTATE names no object, or the port for Prometheus is taken.
    """

    def to_store(report: Report) -> None:
        store.put(key, report.json())

    sinks: list[Sink] = [to_store]
    if settings.progress.annotate:
        resource, name = Resource.named(settings.progress.annotate)
        try:
            sinks.append(ClusterSink(Cluster(attempts=1), resource, name))
        except JobError as error:
            log.warning(str(error))
    if kubeflow := KubeflowSink.of(os.environ):
        sinks.append(kubeflow)
    with ExitStack() as stack:
        reporter = Reporter(sinks, settings.progress.every_seconds, attempt, stop)

        def close(kind: object, error: BaseException | None, trace: object) -> None:
            reporter.close(_patience(error))

        stack.push(close)
        stack.enter_context(watched(reporter))
        if settings.metrics.port:
            from job.monitors.prometheus import Exporter

            exporter = Exporter(settings.metrics.port)
            stack.callback(exporter.close)
            stack.enter_context(watched(exporter))
        yield


def _patience(error: BaseException | None) -> float:
    """Seconds for the last report: many where no other attempt will soon show more."""
    ends = error is None or getattr(error, "exit_code", 0) in (*PERMANENT, Stopped.exit_code)
    return END_SECONDS if ends else LOST_SECONDS
