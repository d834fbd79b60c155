"""Annotations and Events of the Job that is run."""

from __future__ import annotations

import time

import pytest

from job.cluster import Cluster, Resource
from job.errors import ClusterError
from job.monitors.annotations import EVENT_SECONDS, ClusterSink, annotations_of
from job.monitors.report import Milestone, Report
from tests.support.kubernetes_api import Api

JOBS = Resource("batch", "v1", "jobs")


def reached(number: int, reason: str, message: str, seconds_ago: float = 0) -> Milestone:
    return Milestone(number, reason, message, time.time() - seconds_ago)


def test_annotations_and_events_of_the_job(api: Api) -> None:
    sink = ClusterSink(Cluster(), JOBS, "run")
    checkpoints = [reached(n, "Checkpointed", f"step {n}") for n in (2, 3)]
    first = (reached(1, "Started", "run r"), *checkpoints)
    shown = {"step": 3, "loss": 0.123456789, "metric": "f1", "eval_f1": 0.5, "grad_norm": 9}
    sink(Report(1, {**shown, "eta_seconds": 9}, first))
    sink(Report(1, {**shown, "eta_seconds": 9}, first))
    sink(Report(2, {"step": 4, "eta_seconds": None}, (reached(1, "Resumed", "at 3"),)))
    assert api.one("jobs")["metadata"]["annotations"] == {
        "finetune/step": "4",
        "finetune/loss": "0.123457",
        "finetune/metric": "f1",
        "finetune/eval-f1": "0.5",
    }
    events = [("Started", "run r"), ("Checkpointed", "step 3"), ("Resumed", "at 3")]
    assert api.events("run") == events, "of many checkpoints the last; nothing twice"


def test_what_another_process_has_shown_is_not_shown_twice(api: Api) -> None:
    started = reached(1, "Started", "run r")
    first = Report(1, {"step": 3}, (started,))
    ClusterSink(Cluster(), JOBS, "run")(first)
    api.one("jobs")["metadata"]["annotations"].clear()  # the first process had not come to it
    other = ClusterSink(Cluster(), JOBS, "run")
    other(first)
    assert api.events("run") == [("Started", "run r")]
    assert api.one("jobs")["metadata"]["annotations"] == {"finetune/step": "3"}
    other(Report(1, {"step": 4}, (started, reached(2, "Checkpointed", "step 4"))))
    assert api.events("run")[1:] == [("Checkpointed", "step 4")]


def test_what_the_api_server_has_forgotten_is_not_news(api: Api) -> None:
    old = reached(1, "Started", "run r", seconds_ago=2 * EVENT_SECONDS)
    ClusterSink(Cluster(), JOBS, "run")(Report(1, {}, (old, reached(2, "Checkpointed", "step 4"))))
    assert api.events("run") == [("Checkpointed", "step 4")]


def test_what_could_not_be_shown_is_shown_the_next_time(api: Api) -> None:
    sink = ClusterSink(Cluster(attempts=1), JOBS, "run")
    report = Report(1, {"step": 1}, (reached(1, "Started", "run"), reached(2, "Published", "m")))
    for verb in ("GET jobs", "PATCH jobs", "POST events"):
        api.failing.add(verb)
        with pytest.raises(ClusterError):
            sink(report)
        api.failing.clear()
    sink(report)
    assert api.events("run") == [("Started", "run"), ("Published", "m")]


@pytest.mark.parametrize(
    ("suspended", "status"),
    [(True, "stopped at step 247 by its queue"), (False, "stopped at step 247")],
)
def test_a_stop_by_the_queue_is_said(api: Api, suspended: bool, status: str) -> None:
    sink = ClusterSink(Cluster(), JOBS, "run")
    sink(Report(1, {"step": 246, "status": "running", "eta_seconds": 3600}))
    api.one("jobs")["spec"]["suspend"] = suspended  # then its pods are told to stop
    sink(Report(1, {"step": 247, "status": "stopped at step 247", "eta_seconds": None}))
    annotations = {"finetune/step": "247", "finetune/status": status}
    assert api.one("jobs")["metadata"]["annotations"] == annotations


def test_a_job_that_does_not_exist_is_shown_nothing(api: Api) -> None:
    ClusterSink(Cluster(), JOBS, "other")(Report(1, {"step": 1}, (reached(1, "Started", "run"),)))
    assert api.events() == []


def test_annotations_are_text() -> None:
    assert annotations_of({"step": 10, "epoch": 0.5, "eta_seconds": 7, "model": None}) == {
        "finetune/model": None,
        "finetune/step": "10",
        "finetune/epoch": "0.5",
        "finetune/eta-seconds": "7",
    }
