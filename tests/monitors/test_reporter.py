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
    reporter.close(5)
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
    reporter.close(0.2)
    assert tried[-1] == served[-1], "the last one too"


class Slow:
    """A sink that fails or takes its time before it takes a report."""

    def __init__(self, failures: int = 0, seconds: float = 0) -> None:
        self.failures, self.seconds = failures, seconds
        self.taken: list[Report] = []

    def __call__(self, report: Report) -> None:
        time.sleep(self.seconds)
        if self.failures:
            self.failures -= 1
            raise ClusterError("the API server does not answer")
        self.taken.append(report)


def test_news_that_a_sink_has_not_taken_stays_news() -> None:
    sink = Slow(failures=2)
    reporter = Reporter([sink], every_seconds=0.02, attempt=1, stop=STOP)
    with watched(reporter):
        milestone("Started", "run")
        end = time.monotonic() + 10
        while not sink.taken and time.monotonic() < end:
            time.sleep(0.02)  # nothing else happens
    assert [m.reason for report in sink.taken for m in report.milestones] == ["Started"]
    reporter.close(5)
    assert len(sink.taken) == 1


def test_the_end_is_told_again_until_it_is_taken() -> None:
    slow, quick = Slow(failures=3, seconds=0.1), Slow()
    reporter = Reporter([slow, quick], every_seconds=0.05, attempt=1, stop=STOP)
    with watched(reporter):
        figures(step=23, total_steps=80)
        time.sleep(0.1)
        figures(step=80, total_steps=80, model="s3://x")
        milestone("Published", "m")
    reporter.close(30)
    for sink in (slow, quick):
        assert sink.taken[-1].figures["model"] == "s3://x"
        assert sink.taken[-1].milestones[-1].reason == "Published"


def test_a_sink_that_never_answers_holds_up_neither_another_nor_the_end() -> None:
    hanging, quick = Slow(seconds=3600), Slow()
    stop = StopSignal(1)
    reporter = Reporter([hanging, quick], every_seconds=0.02, attempt=1, stop=stop)
    with watched(reporter):
        milestone("Started", "run")
        time.sleep(0.1)
        milestone("Stopped", "at step 247")
    stop._since = time.monotonic()
    reporter.close(90)  # takes half of the second that the stop leaves
    assert quick.taken[-1].milestones[-1].reason == "Stopped"


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
    reporter.close(5)
    assert len(tried) == 1
