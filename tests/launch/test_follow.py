"""An object in the cluster, followed to its end: what it leaves, and why it failed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pytest

from job.cluster import Cluster
from job.errors import RunFailed, Stopped
from job.launch.follow import Workload
from job.monitors.report import Milestone, Report
from job.registry import champion
from job.registry.champion import Move
from job.runs.record import State
from job.runtime.stop import StopSignal
from job.store import Store, open_store
from tests.support.kubernetes_api import NAMESPACE, Api, Body

REPORT = Report(1, {"step": 3, "eta_seconds": 60}, (Milestone(1, "Started", "run", time.time()),))
DONE = State("r", outcome="done", step=8, result={"model": "s3://x"}, ended=time.time())
LABELS = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "train"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "store"))
    store.put("m/runs/r/progress.json", REPORT.json())
    return store


def record(store: Store, state: State) -> None:
    store.put("m/runs/r/state.json", json.dumps(asdict(state)).encode())


def created(api: Api, *conditions: dict[str, Any], kind: str = "batch/v1/Job", **spec: Any) -> Body:
    """An object in this condition."""
    version, _, kind = kind.rpartition("/")
    metadata = {"name": "a", "labels": LABELS, "annotations": {"finetune/run-id": "r"}}
    body = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    body = Cluster().create(body)
    api.one(f"{kind.lower()}s")["status"] = {"conditions": list(conditions)}
    return body


def follow(body: Body, store: Store, stop: StopSignal | None = None) -> State | None:
    told: list[tuple[str, str]] = []
    workload = Workload(Cluster(), body, store, "m", lambda *event: told.append(event))
    return workload.follow(stop or StopSignal(30), 0.05)


def later(change: Callable[[], object]) -> None:
    """Do it when the workload is being followed."""

    def wait_and_change() -> None:
        time.sleep(0.3)
        change()

    threading.Thread(target=wait_and_change, daemon=True).start()


def progress(api: Api, plural: str = "jobs") -> dict[str, str]:
    """Those that show progress."""
    shown = api.one(plural)["metadata"]["annotations"]
    return {k.removeprefix("finetune/"): v for k, v in shown.items() if k != "finetune/run-id"}


def test_a_run_that_ends_well_leaves_its_state_and_its_progress(api: Api, store: Store) -> None:
    record(store, DONE)
    body = created(api)
    complete = {"type": "Complete", "status": "True"}
    later(lambda: api.one("jobs")["status"]["conditions"].append(complete))
    assert follow(body, store) == DONE
    # the run's own last report never came to the store; its state did
    assert progress(api) == {"status": "done", "step": "8", "model": "s3://x"}
    assert api.events("a") == [("Started", "run"), ("Published", "published, s3://x")]
    assert follow(body, store) == DONE
    assert len(api.events("a")) == 2, "another launcher that shows it adds nothing"


def test_a_failed_run_ends_with_what_it_recorded_itself(api: Api, store: Store) -> None:
    record(store, State("r", failure={"message": "the rows are wrong", "exit_code": 65}))
    body = created(api, {"type": "Failed", "status": "True", "reason": "PodFailurePolicy"})
    with pytest.raises(RunFailed) as caught:
        follow(body, store)
    message = "the rows are wrong [jobs/a failed (PodFailurePolicy)]"
    assert (caught.value.exit_code, caught.value.message) == (65, message)
    assert api.events("a")[-1] == ("RunFailed", message)
    assert progress(api) == {"status": f"failed: {message}", "step": "3"}


@pytest.mark.parametrize(
    ("reason", "code"),
    [("pod x failed with exit code 78 matching FailJob rule", 78), ("BackoffLimitExceeded", 82)],
)
def test_a_failed_run_that_recorded_nothing_ends_with_what_its_controller_says(
    reason: str, code: int, api: Api, store: Store
) -> None:
    body = created(api, {"type": "Failed", "status": "True", "message": reason})
    with pytest.raises(RunFailed, match=reason) as caught:
        follow(body, store)
    assert (caught.value.exit_code, caught.value.deleted) == (code, False)


def test_a_jobset_fails_with_what_its_pods_left(api: Api, store: Store) -> None:
    def pod(name: str, run_id: str, code: int, message: str) -> None:
        words = json.dumps({"message": message, "exit_code": code}) if message else "Killed"
        ended = {"exitCode": code, "message": words}
        key = (f"/api/v1/namespaces/{NAMESPACE}/pods", name)
        api.objects[key] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": LABELS,
                "annotations": {"finetune/run-id": run_id},
            },
            "status": {"containerStatuses": [{"name": "train", "state": {"terminated": ended}}]},
        }

    pod("of-another-run", "q", 65, "the rows of another run are wrong")
    pod("killed", "r", 137, "")
    pod("lost-its-peer", "r", 75, "pod 1 is gone")
    pod("first", "r", 78, "FINETUNE_ENCODE__MAX_LENGTH=9 is too short")
    said = "jobset failed due to reaching max number of restarts"
    body = created(
        api,
        {"type": "Failed", "status": "True", "message": said},
        kind="jobset.x-k8s.io/v1alpha2/JobSet",
    )
    with pytest.raises(RunFailed, match=r"MAX_LENGTH=9 is too short .*max number") as caught:
        follow(body, store)
    assert caught.value.exit_code == 78
    assert api.events("a")[-1] == ("RunFailed", caught.value.message)
    assert progress(api, "jobsets")["status"] == f"failed: {caught.value.message}"
    api.forbidden.add("GET pods")
    with pytest.raises(RunFailed, match="max number of restarts"):
        follow(body, store)


def test_an_object_that_is_deleted_fails_the_run_unless_it_had_ended(
    api: Api, store: Store
) -> None:
    body = created(api)
    later(api.objects.clear)
    with pytest.raises(RunFailed, match="jobs/a was deleted") as caught:
        follow(body, store)
    assert caught.value.deleted
    record(store, DONE)
    assert follow(body, store) == DONE, "and its object was removed since"


def test_a_stop_ends_the_following_and_not_what_is_followed(api: Api, store: Store) -> None:
    stop = StopSignal(30)
    body = created(api)
    later(lambda: setattr(stop, "_since", time.monotonic()))
    with pytest.raises(Stopped):
        follow(body, store, stop)
    assert api.one("jobs")["metadata"]["name"] == "a"


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[]", b'{"milestones": [1]}', None])
def test_progress_that_cannot_be_read_is_none(
    api: Api, store: Store, damaged: bytes | None
) -> None:
    if damaged is None:
        store.delete(["m/runs/r/progress.json"])
    else:
        store.put("m/runs/r/progress.json", damaged)
    record(store, DONE)
    body = created(api, {"type": "Complete", "status": "True"})
    assert follow(body, store) == DONE
    assert progress(api)["model"] == "s3://x"


def test_a_preparation_is_shown_at_its_own_object(api: Api, store: Store) -> None:
    prepared = Report(1, {"status": "done"}, (Milestone(1, "Started", "prepare", time.time()),))
    store.put("m/runs/r/preparation.json", prepared.json())
    store.delete(["m/runs/r/progress.json"])
    record(store, State("r", preparations=1))
    body = created(api, {"type": "Complete", "status": "True"})
    follow(body, store)
    assert api.events("a") == [], "nothing of the run has begun"
    body["metadata"]["labels"]["app.kubernetes.io/component"] = "prepare"
    follow(body, store)
    assert api.events("a") == [("Started", "prepare")]


@pytest.mark.parametrize("action", ["promoted", "kept"])
def test_the_verdict_comes_to_the_object_also_where_the_pod_could_not_show_it(
    api: Api, store: Store, action: Literal["promoted", "kept"]
) -> None:
    record(store, DONE)
    before, tag = champion.read(store, "m")
    for version, reason in (("r-a2", "because"), ("other-a1", "of something else")):
        move = Move(version, action, reason=reason, at=1.0)
        before = champion.judged(before, move, None, None, before.spending)
    champion.write(store, "m", before, tag)
    body = created(api, {"type": "Complete", "status": "True"})
    assert follow(body, store) == DONE
    assert api.events("a")[-1] == (action.capitalize(), f"r-a2 {action}: because")
    told = Report(
        2, {}, (Milestone(1, action.capitalize(), "r-a2, in its own words", time.time()),)
    )
    store.put("m/runs/r/progress.json", told.json())
    follow(body, store)
    assert api.events("a")[-1][1] != f"r-a2 {action}: because"
    assert ("a", action.capitalize(), "r-a2, in its own words") in [
        ("a", *e) for e in api.events("a")
    ]
