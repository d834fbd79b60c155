"""Reports are at most so frequent, the last one is complete, and a sink that fails is no matter."""

from __future__ import annotations

import time

import pytest

from job.errors import ClusterError, ClusterForbidden
from job.monitors.report import Report
from job.monitors.reporter import Reporter
from job.runtime.stop import StopSignal
from job.telemetry import figures, milestone, watched

STOP = StopSignal(30)


def test_reports_are_as_few_as_wanted_and_the_last_one_is_whole() -> None:
    reports: list[Report] = []
    reporter = Reporter([reports.append], every_seconds=0.3, attempt=2, stop=STOP)
    began = time.monotonic()
    with watched(reporter):
        milestone("Started", "run", run_id="r")
        for step in range(1, 101):
            figures(step=step, total_steps=100, loss=1 / step)
            if step % 10 == 0:
                milestone("Checkpointed", "checkpoint committed", step=step)
            time.sleep(0.01)
    spent = time.monotonic() - began
    reporter.close()
    assert 2 <= len(reports) <= spent / 0.3 + 3
    last = reports[-1]
    assert (last.attempt, last.figures["step"], last.figures["eta_seconds"]) == (2, 100, 0)
    assert [m.number for m in last.milestones] == list(range(1, 12))
    assert last.milestones[-1].message == "checkpoint committed, step 100"


@pytest.mark.parametrize("error", [RuntimeError("no such luck"), ClusterError("no answer")])
def test_a_sink_that_fails_is_tried_again_and_the_others_are_served(error: Exception) -> None:
    tried: list[Report] = []
    served: list[Report] = []

    def broken(report: Report) -> None:
        tried.append(report)
        raise error

    reporter = Reporter([broken, served.append], every_seconds=0.01, attempt=1, stop=STOP)
    with watched(reporter):
        milestone("Started", "run")
        while len(served) < 3:
            figures(step=len(served))
            time.sleep(0.01)
    reporter.close()
    assert len(tried) == len(served)


def test_a_sink_that_is_not_allowed_is_asked_no_more() -> None:
    tried: list[Report] = []
    served: list[Report] = []

    def forbidden(report: Report) -> None:
        tried.append(report)
        raise ClusterForbidden("jobs is forbidden")

    reporter = Reporter([forbidden, served.append], every_seconds=0.01, attempt=1, stop=STOP)
    with watched(reporter):
        while len(served) < 3:
            figures(step=len(served))
            time.sleep(0.01)
    reporter.close()
    assert len(tried) == 1
