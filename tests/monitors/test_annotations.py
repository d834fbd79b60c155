"""Annotations and Events of the Job that is run."""

from __future__ import annotations

from job.cluster import Cluster, Resource
from job.monitors.annotations import ClusterSink, annotations_of
from job.monitors.report import Milestone, Report
from tests.support.kubernetes_api import Api

JOBS = Resource("batch", "v1", "jobs")


def test_annotations_and_events_of_the_job(api: Api) -> None:
    sink = ClusterSink(Cluster(), JOBS, "run")
    checkpoints = [Milestone(n, "Checkpointed", f"step {n}") for n in (2, 3)]
    first = (Milestone(1, "Started", "run r"), *checkpoints)
    shown = {"step": 3, "loss": 0.123456789, "metric": "f1", "eval_f1": 0.5, "grad_norm": 9}
    sink(Report(1, shown, first))
    sink(Report(1, shown, first))
    sink(Report(2, {"step": 4}, (Milestone(1, "Resumed", "at 3"),)))
    assert api.one("jobs")["metadata"]["annotations"] == {
        "finetune/step": "4",
        "finetune/loss": "0.123457",
        "finetune/metric": "f1",
        "finetune/eval-f1": "0.5",
    }
    events = [("Started", "run r"), ("Checkpointed", "step 3"), ("Resumed", "at 3")]
    assert api.events("run") == events, "of many checkpoints the last; nothing twice"


def test_what_another_process_has_shown_is_not_shown_again(api: Api) -> None:
    shown = Report(1, {"step": 3}, (Milestone(1, "Started", "run r"),))
    sink = ClusterSink(Cluster(), JOBS, "run", shown=shown)
    sink(shown)
    assert api.events("run") == []
    sink(Report(1, {"step": 4}, (*shown.milestones, Milestone(2, "Checkpointed", "step 4"))))
    assert api.events("run") == [("Checkpointed", "step 4")]


def test_a_job_that_does_not_exist_is_shown_nothing(api: Api) -> None:
    ClusterSink(Cluster(), JOBS, "other")(Report(1, {"step": 1}, (Milestone(1, "Started", "run"),)))
    assert api.events() == []


def test_annotations_are_text() -> None:
    assert annotations_of({"step": 10, "epoch": 0.5, "eta_seconds": 7}) == {
        "finetune/step": "10",
        "finetune/epoch": "0.5",
        "finetune/eta-seconds": "7",
    }
