"""A schedule on a real cluster: the CronJob skips, trains when data has come, and may be pruned."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from job.store import Store
from tests.e2e.kube import Body, Helm, Kube, end_of, until
from tests.e2e.test_runs import LONG, steps

pytestmark = [pytest.mark.e2e]


def launch(kube: Kube, name: str) -> str:
    """What the CronJob does when it is time; the name of the launcher's Job."""
    job = f"{name}-{len(kube.all('jobs', release=name, component='launch'))}"
    kube("create", "job", f"--from=cronjob/{name}-finetune", job)
    return job


def ended(kube: Kube, job: str) -> str:
    """How a Job ended, once it has."""

    def look() -> str:
        body = kube.get("job", job)
        assert body is not None, f"{job} is gone"
        return end_of(body)

    return until(look, f"{job} ends")


def test_it_trains_skips_and_trains_when_data_has_come(
    release: Callable[..., Helm], rows: Callable[[str, int], None], kube: Kube, bucket: Store
) -> None:
    chart = release("nightly", schedule="0 0 1 1 *", launch={"prepare": "inPlace"})
    chart("install")
    assert kube.train("nightly") == []
    assert ended(kube, launch(kube, "nightly")) == "Complete"
    (first,) = kube.train("nightly")
    assert end_of(first) == "Complete"
    (owner,) = first["metadata"]["ownerReferences"]
    assert (owner["kind"], owner.get("controller", False)) == ("CronJob", False)
    assert {"Launched"} <= set(kube.events("nightly-finetune"))
    assert {"Started", "Published"} <= set(kube.events(first["metadata"]["name"]))
    assert first["metadata"]["annotations"]["finetune/model"].startswith(bucket.uri)

    assert ended(kube, launch(kube, "nightly")) == "Complete"
    assert len(kube.train("nightly")) == 1, "nothing has changed"
    assert "Skipped" in kube.events("nightly-finetune")

    rows("nightly/2.csv", 60)
    assert ended(kube, launch(kube, "nightly")) == "Complete"
    assert len(kube.train("nightly")) == 2


def test_a_run_outlives_its_launcher(
    release: Callable[..., Helm], kube: Kube, bucket: Store
) -> None:
    chart = release("pruned", schedule="0 0 1 1 *", launch={"prepare": "none"}, config=LONG)
    chart("install")
    launcher = launch(kube, "pruned")

    def trains() -> Body | None:
        return next(iter(kube.train("pruned")), None)

    until(trains, "the launcher makes the Job")
    until(lambda: steps(bucket, "pruned") > 20, "it makes steps")
    kube("delete", "job", launcher, "--cascade=foreground", "--wait")  # as history limits do
    (job,) = kube.train("pruned")
    assert "deletionTimestamp" not in job["metadata"]
    at = steps(bucket, "pruned")
    until(lambda: steps(bucket, "pruned") > at, "the run goes on")
    # the next launcher takes it up where the first one left it, and starts no other
    assert ended(kube, launch(kube, "pruned")) == "Complete"
    (same,) = kube.train("pruned")
    assert same["metadata"]["uid"] == job["metadata"]["uid"]
    assert end_of(same) == "Complete"
