"""The worker processes of a pod: with which code they end together, and what they are started with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from job.supervisor.topology import Topology
from job.supervisor.workers import Exit, WorkerGroup
from tests.supervisor.programs import workers_run


def ended(folder: Path, processes: int, *, stop: bool = False, expire: bool = False) -> Exit:
    """How a group ends that is told to stop when its workers are ready, if it is at all."""

    async def play() -> Exit:
        workers = WorkerGroup("run", [], Topology(processes=processes), folder)
        workers.start(1, "a")
        ready = workers.marker.with_name("ready")
        while (stop or expire) and not ready.exists():
            await asyncio.sleep(0.01)
        if stop:
            workers.stop()
        if expire:
            workers.expire()
        return await workers.wait()

    return asyncio.run(play())


LOST = """echo '{"exit_code": 75, "again": true}' > $outcome; exit 75"""


@pytest.mark.parametrize(
    ("script", "code", "rejoins"),
    [
        ("exit 0", 0, False),
        (LOST, 75, True),
        # the one that only lost a peer ends first; the one that was lost says why
        (f"[ $RANK = 0 ] && {{ {LOST}; }}; sleep 0.2; kill -9 $$", 137, False),
        (f"[ $RANK = 0 ] && {{ {LOST}; }}; sleep 0.2; exit 70", 70, False),
        ("""echo '{"exit_code": 75, "aga' > $outcome; exit 75""", 75, False),
    ],
)
def test_the_cause_counts_and_not_who_only_lost_a_peer(
    script: str, code: int, rejoins: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(script, tmp_path, monkeypatch)
    end = ended(tmp_path / "workers", 2)
    assert (end.code, end.rejoins) == (code, rejoins)


READY = "touch $(dirname $outcome)/ready"


@pytest.mark.parametrize(
    "script",
    [
        f"trap 'exit 0' TERM; {READY}; while :; do sleep 0.02; done",
        f"{READY}; exec sleep 60",
        f"trap '{LOST}' TERM; {READY}; while :; do sleep 0.02; done",
    ],
)
def test_a_group_that_is_stopped_ends_with_143(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(script, tmp_path, monkeypatch)
    assert ended(tmp_path / "workers", 1, stop=True).code == 143


def test_a_group_that_outlasts_its_grace_period_is_killed_and_ends_with_143(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(f"trap '' TERM; {READY}; exec sleep 60", tmp_path, monkeypatch)
    end = ended(tmp_path / "workers", 1, stop=True, expire=True)
    assert end.code == 143
    assert "grace period was nearly over" in end.outcome["message"]


def test_a_launchers_variables_are_not_a_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "7")
    monkeypatch.setenv("MASTER_ADDR", "elsewhere")
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "WORLD_SERIAL", "OMP_NUM_THREADS")
    fields = ", ".join(f'\\"{name}\\": \\"${name}\\"' for name in names)
    workers_run(f'echo "{{\\"exit_code\\": 0, {fields}}}" > $outcome', tmp_path, monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = ended(tmp_path / "alone", 1).outcome
    assert [alone[name] for name in names] == ["", "", "", "", "1"]
    first = ended(tmp_path / "two", 2).outcome
    assert first["RANK"] in ("0", "1")
    assert [first[name] for name in names[1:]] == ["2", "127.0.0.1", "a", "1"]
