"""Runs killed at random moments end as if nobody had; `make soak` does the same for hours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.pods import Cluster, Killer
from tests.faults.runs import differences, left, settings


@pytest.mark.slow
@pytest.mark.parametrize(("pods", "processes", "kills"), [(1, 1, 3), (2, 1, 2)])
def test_every_bit_is_as_if_nothing_had_been_killed(
    pods: int, processes: int, kills: int, bucket: str, tmp_path: Path
) -> None:
    given = {"TRAIN__MAX_STEPS": "160"}
    Cluster(pods, settings(tmp_path, bucket, "whole", **given), tmp_path, processes).run()
    killer = Killer(pods, kills, within=1.0)
    cluster = Cluster(pods, settings(tmp_path, bucket, "killed", **given), tmp_path, processes)
    cluster.run(killer)
    whole, killed = (left(bucket, name, tmp_path) for name in ("whole", "killed"))
    assert differences(whole, killed) == [], killer.done
    assert killed.attempts > 1
    for pod in cluster.pods:
        assert not pod.said("damaged")
        assert not pod.said("passed over")
