"""Pod 0 begins and ends attempts: the control port is real, the workers are scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from job.supervisor.channel import Connection, Kind, Message, connect
from job.supervisor.leader import lead
from job.supervisor.topology import Topology
from job.supervisor.workers import Exit, WorkerGroup
from tests.faults.pods import free_port
from tests.supervisor.programs import workers_run

TOGETHER = "touch $(dirname $outcome)/together"
TRAIN_TWICE = f"""
case $outcome in
    */0001/*) {TOGETHER}; exec sleep 60;;
    *) exit 0;;
esac
"""
"""The first attempt trains until another pod is lost, the second one to the end."""


class Pod1:
    """The other pod, as a test plays it."""

    def __init__(self, topology: Topology, workers: WorkerGroup) -> None:
        self.workers, self._topology = workers, replace(topology, node=1)
        self.connection: Connection | None = None

    async def connect(self) -> None:
        while (connection := await connect(self._topology)) is None:
            await asyncio.sleep(0.02)
        self.connection = connection

    async def expect(self, kind: Kind) -> str:
        """The name of the attempt that the next message is about."""
        assert self.connection is not None
        message = await asyncio.wait_for(self.connection.receive(), 20)
        assert message.kind is kind
        return message.attempt

    async def together(self) -> None:
        while not self.workers.marker.exists():
            await asyncio.sleep(0.01)


def led(folder: Path, script: Callable[[Pod1], Awaitable[None]]) -> Exit:
    """How pod 0 ends."""

    async def play() -> Exit:
        topology = Topology(nodes=2, address="127.0.0.1", port=free_port())
        workers = WorkerGroup("run", [], topology, folder / "workers")
        leading = asyncio.create_task(lead(workers, topology))
        pod1 = Pod1(topology, workers)
        try:
            await script(pod1)
            return await asyncio.wait_for(leading, 20)
        finally:
            workers.kill()

    return asyncio.run(play())


def test_a_pod_that_is_lost_while_all_train_ends_the_attempt_and_another_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(TRAIN_TWICE, tmp_path, monkeypatch)

    async def script(pod1: Pod1) -> None:
        await pod1.connect()
        first = await pod1.expect(Kind.START)
        await pod1.together()
        assert pod1.connection is not None
        pod1.connection.send(Message(Kind.ENDED, "an earlier one"))  # is no matter
        pod1.connection.send(Message(Kind.ENDED, first))
        await pod1.expect(Kind.STOP)
        assert await pod1.expect(Kind.START) != first
        await pod1.expect(Kind.FINISH)
        pod1.connection.close()

    assert led(tmp_path, script).code == 0


def test_a_connection_that_breaks_while_all_train_is_a_lost_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(TRAIN_TWICE, tmp_path, monkeypatch)

    async def script(pod1: Pod1) -> None:
        await pod1.connect()
        await pod1.expect(Kind.START)
        await pod1.together()
        assert pod1.connection is not None
        pod1.connection.close()

    assert led(tmp_path, script).code == 0


def test_before_all_train_a_pod_may_come_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    workers_run(f"while [ ! -e {go} ]; do sleep 0.02; done", tmp_path, monkeypatch)

    async def script(pod1: Pod1) -> None:
        await pod1.connect()
        first = await pod1.expect(Kind.START)
        assert pod1.connection is not None
        pod1.connection.close()
        await pod1.connect()
        assert await pod1.expect(Kind.START) == first
        pod1.connection.send(Message(Kind.ENDED, first))
        assert await pod1.expect(Kind.START) == first, "its workers lost a peer: they begin again"
        go.touch()
        await pod1.expect(Kind.FINISH)
        pod1.connection.close()

    assert led(tmp_path, script).code == 0


def test_workers_of_its_own_that_fail_end_pod_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
    workers_run(f"{wait}; echo '{{\"exit_code\": 70}}' > $outcome; exit 70", tmp_path, monkeypatch)

    async def script(pod1: Pod1) -> None:
        await pod1.connect()
        await pod1.expect(Kind.START)
        go.touch()
        await pod1.expect(Kind.GONE)

    assert led(tmp_path, script).code == 70
