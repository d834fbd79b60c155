"""Why a run failed stands at its object, also where its settings ended it before it began."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from job.cluster import Cluster, Resource
from job.monitors.failure import show_failure
from tests.support.kubernetes_api import Api
from tests.support.samples import finetune

OUTCOME = {"message": "the rows are wrong", "exit_code": 65}


@pytest.fixture(autouse=True)
def annotated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_PROGRESS__ANNOTATE", "batch/v1/jobs/run")


def test_settings_that_end_a_jobset_are_named_at_it(api: Api, tmp_path: Path) -> None:
    version = "jobset.x-k8s.io/v1alpha2"
    metadata = {"name": "run", "annotations": {"finetune/eta-seconds": "60"}}
    Cluster().create({"apiVersion": version, "kind": "JobSet", "metadata": metadata, "spec": {}})
    wrong = {
        "KUBECONFIG": os.environ["KUBECONFIG"],
        "FINETUNE_PROGRESS__ANNOTATE": f"{version}/jobsets/run",
        "FINETUNE_OUTPUT": "s3:/bucket",
    }
    for _ in range(2):  # its pods
        done = finetune("run", env=wrong, cwd=tmp_path)
        assert done.returncode == 78, done.stderr
    ((reason, message),) = api.events("run")
    assert (reason, "FINETUNE_OUTPUT" in message) == ("RunFailed", True)
    annotations = api.one("jobsets")["metadata"]["annotations"]
    assert annotations == {"finetune/status": f"failed: {message}"}


def test_what_the_run_itself_has_shown_stays(api: Api) -> None:
    show_failure(OUTCOME)
    Cluster().annotate(Resource("batch", "v1", "jobs"), "run", {"finetune/status": "running"})
    show_failure(OUTCOME)
    assert api.one("jobs")["metadata"]["annotations"] == {
        "finetune/status": "failed: the rows are wrong"
    }
    asked = len(api.asked)
    show_failure(OUTCOME)
    assert api.asked[asked:] == ["GET jobs"]
    assert api.events("run") == [("RunFailed", "the rows are wrong")]


@pytest.mark.parametrize("code", [0, 69, 75, 137, 143])
def test_what_is_tried_again_has_not_failed(api: Api, code: int) -> None:
    api.asked.clear()
    show_failure({"message": "a peer is gone", "exit_code": code})
    assert api.asked == []


def test_that_it_cannot_be_shown_is_said(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.forbidden.add("PATCH jobs")
    show_failure(OUTCOME)
    assert "batch/v1/jobs/run does not show why it failed" in capsys.readouterr().err
