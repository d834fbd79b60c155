"""`finetune launch` from end to end: a real process, a cluster's API, and pods that really train."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helm import binaries
from job.demo import tickets
from job.store import open_store
from tests.support.chart import launcher, mounted, rendered, scheduled
from tests.support.controller import Controller
from tests.support.kubernetes_api import NAMESPACE, Api, Body, api_server
from tests.support.samples import ROOT, tiny_bert, write_tickets


@dataclass
class Release:
    """A release of the chart with a schedule, as far as launchers see it."""

    api: Api
    controller: Controller
    folder: Path
    cronjob: Body
    env: dict[str, str]

    def start(self, **settings: str) -> subprocess.Popen[str]:
        """What the CronJob does when it is time."""
        return subprocess.Popen(
            [sys.executable, "-m", "job", "launch"],
            env={**self.env, **{f"FINETUNE_{k}": v for k, v in settings.items()}},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def launch(self, **settings: str) -> tuple[int, str, str]:
        """A launcher's whole life: exit code, stdout and stderr."""
        process = self.start(**settings)
        out, err = process.communicate(timeout=180)
        return process.returncode, out, err

    def record(self) -> dict[str, Any]:
        """What the release has launched last."""
        path = self.folder / "store" / "m" / "launches" / f"{NAMESPACE}.demo.json"
        return dict(json.loads(path.read_text()))

    def state(self, run_id: str) -> dict[str, Any]:
        """A run's state."""
        path = self.folder / "store" / "m" / "runs" / run_id / "state.json"
        return dict(json.loads(path.read_text()))

    def jobs(self) -> list[str]:
        """The names of all Jobs."""
        return [body["metadata"]["name"] for body in self.api.all("jobs")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("model"), [text for text, _ in tickets(300)])


@pytest.fixture
def release(model: Path, tmp_path: Path) -> Iterator[Release]:
    write_tickets(tmp_path / "data" / "1.csv", 120)
    with api_server() as api, Controller(api, tmp_path) as controller:
        yield install(api, controller, tmp_path, model)


def install(
    api: Api, controller: Controller, folder: Path, model: Path, prepare: str = "inPlace"
) -> Release:
    """Put the release's CronJob before the API server, and its ConfigMap where a launcher reads it."""
    config = {
        "name": "m",
        "output": str(folder / "store"),
        "data": {"train": str(folder / "data" / "*.csv"), "max_bad_fraction": 0.05},
        "model": {"name": str(model)},
        "train": {"epochs": 1, "learning_rate": 5e-3},
        "checkpoint": {"every_steps": 2},
    }
    values = {"schedule": "@daily", "config": config, "launch": {"prepare": prepare}}
    bodies = rendered(binaries.find("helm4"), values)
    pod = launcher(bodies)
    manifests = mounted(pod, folder / "manifests")
    cronjob = scheduled(bodies)
    where = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"
    cronjob["metadata"]["uid"] = "cronjob-uid"
    api.objects[where, cronjob["metadata"]["name"]] = api.stamp(cronjob)
    (folder / "config.json").write_text(pod["metadata"]["annotations"]["finetune/config"])
    (container,) = pod["spec"]["containers"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("FINETUNE_")}
    env |= {item["name"]: item["value"] for item in container["env"]}
    env |= {
        "FINETUNE_CONFIG": str(folder / "config.json"),
        "FINETUNE_LAUNCH__MANIFESTS": str(manifests),
        "FINETUNE_LAUNCH__POLL_SECONDS": "0.2",
        "FINETUNE_RUNTIME__TERMINATION_LOG": str(folder / "launch.termination"),
        "KUBECONFIG": str(api.kubeconfig(folder)),
        "PYTHONPATH": str(ROOT),
    }
    return Release(api, controller, folder, cronjob, env)


def until(what: Callable[[], object], seconds: float = 60) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.05)


@pytest.mark.slow
def test_it_trains_skips_and_trains_again_when_data_has_come(release: Release) -> None:
    code, out, err = release.launch()
    assert code == 0, err
    (name,) = release.jobs()
    run_id = release.record()["run_id"]
    assert name.startswith(f"{run_id}-")
    assert f"store/m/models/{run_id}-a1" in out, "what prepared it was no attempt"
    assert release.state(run_id)["preparations"] == 1
    metadata = release.api.one("jobs")["metadata"]
    assert metadata["ownerReferences"][0]["uid"] == "cronjob-uid"
    annotations = metadata["annotations"]
    assert annotations["finetune/run-id"] == run_id
    assert int(annotations["finetune/step"]) == int(annotations["finetune/total-steps"]) > 0
    assert annotations["finetune/model"].endswith(f"models/{run_id}-a1")
    metric = annotations["finetune/metric"].replace("_", "-")
    assert float(annotations[f"finetune/eval-{metric}"]) >= 0
    reasons = [reason for reason, _ in release.api.events(name)]
    assert {"Started", "Checkpointed", "Published", "Promoted"} <= set(reasons)
    told = [reason for reason, _ in release.api.events("demo-finetune")]
    assert told == ["Launched", "Promoted"]
    shown = release.api.one("cronjobs")["metadata"]["annotations"]
    assert shown["finetune/champion"] == f"{run_id}-a1"

    code, out, err = release.launch()
    assert code == 0, err
    assert "nothing has changed since the last good run" in out
    assert release.jobs() == [name], "no GPU was asked for"
    assert release.api.events("demo-finetune")[-1][0] == "Skipped"
    assert (release.state(run_id)["outcome"], release.state(run_id)["skips"]) == ("done", 1)

    write_tickets(release.folder / "data" / "2.csv", 40)
    code, out, err = release.launch(LAUNCH__PREPARE="none")
    assert code == 0, err
    assert len(release.jobs()) == 2
    assert release.record()["run_id"] != run_id


@pytest.mark.slow
def test_a_failed_run_fails_its_launcher_and_the_next_one_starts_again(release: Release) -> None:
    rows = release.folder / "data" / "1.csv"
    rows.write_text("text,label\nall of one class,a\n" * 2)
    code, _, err = release.launch(LAUNCH__PREPARE="none")
    assert code == 65, err
    assert "exit code 65 matching FailJob" in err
    first = release.record()
    assert "PodFailurePolicy" in first["failure"]
    assert release.state(first["run_id"])["failure"]["exit_code"] == 65
    assert release.api.events("demo-finetune")[-1][0] == "RunFailed"
    assert release.launch(LAUNCH__PREPARE="none")[0] == 65
    assert release.record()["run_id"] == f"{first['run_id']}-1"
    assert len(release.jobs()) == 2


@pytest.mark.slow
def test_preparing_that_fails_for_good_is_a_failed_run(release: Release) -> None:
    (release.folder / "data" / "1.csv").write_text("text,label\nall of one class,a\n" * 2)
    assert release.launch()[0] == 65
    first = release.record()
    assert "no validation rows were held out" in first["failure"]
    assert release.jobs() == [], "no GPU was asked for"
    assert release.launch()[0] == 65
    assert release.record()["run_id"] == f"{first['run_id']}-1", "and not the same for ever"


@pytest.mark.slow
def test_a_run_that_somebody_deletes_goes_on_the_next_time(release: Release) -> None:
    release.controller.held.set()
    launcher = release.start(LAUNCH__PREPARE="none")
    until(release.jobs)
    release.api.objects = {
        k: v for k, v in release.api.objects.items() if not k[0].endswith("/jobs")
    }
    assert launcher.wait(60) == 82
    run_id = release.record()["run_id"]
    assert release.record()["failure"] == ""
    release.controller.held.clear()
    assert release.launch(LAUNCH__PREPARE="none")[0] == 0
    assert release.record()["run_id"] == run_id


@pytest.mark.slow
def test_a_launcher_that_is_killed_leaves_the_run_to_the_next(release: Release) -> None:
    release.controller.held.set()  # its pods wait in a queue
    first = release.start()
    until(release.jobs)
    first.kill()
    first.wait()
    second = release.start()
    until(lambda: release.api.asked.count("GET jobs") > 3)
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 143
    third = release.start(DATA__TRAIN=str(release.folder / "none"))
    release.controller.held.clear()
    out, err = third.communicate(timeout=120)
    assert third.returncode == 0, err
    assert len(release.jobs()) == 1, "the run that is under way is followed, whatever has changed"
    assert release.record()["run_id"] in out


@pytest.mark.slow
def test_preparing_in_a_job_of_its_own(model: Path, tmp_path: Path) -> None:
    write_tickets(tmp_path / "data" / "1.csv", 120)
    with api_server() as api, Controller(api, tmp_path) as controller:
        release = install(api, controller, tmp_path, model, prepare="job")
        code, _, err = release.launch()
    assert code == 0, err
    prepare, train = controller.started
    assert prepare.endswith("-prepare")
    created = api.objects[f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", prepare]
    assert "nvidia.com/gpu" not in json.dumps(created)
    assert "data set found in the store" in (tmp_path / f"{train}.log").read_text()


def test_forbidden_and_unset_are_said_at_once(release: Release) -> None:
    release.api.forbidden.add("POST jobs")
    code, _, err = release.launch(LAUNCH__PREPARE="none")
    assert code == 77
    assert "jobs is forbidden" in err
    assert "Role and RoleBinding" in err
    code, _, err = release.launch(LAUNCH__MANIFESTS="", RUN_ID="mine")
    assert code == 78
    assert "FINETUNE_LAUNCH__MANIFESTS is not set" in err
    assert "FINETUNE_RUN_ID is set" in err
    assert open_store(str(release.folder / "store"))
