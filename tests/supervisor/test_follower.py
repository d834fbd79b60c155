"""A pod that is not the first does what pod 0 says: the control port is real, the workers are scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from job.supervisor.channel import ControlServer, Kind, Message
from job.supervisor.follower import follow
from job.supervisor.topology import Topology
from job.supervisor.workers import Exit, WorkerGroup
from tests.faults.pods import free_port
from tests.supervisor.programs import workers_run

LOST = """echo '{"exit_code": 75, "again": true}' > $outcome; exit 75"""
FOREVER = "exec sleep 60"

Script = Callable[["Pod0"], Awaitable[None]]


class Pod0:
    """Pod 0 as a test plays it, and the pod that follows it."""

    def __init__(self, folder: Path, peer_wait: float) -> None:
        topology = Topology(2, 1, 1, "127.0.0.1", free_port())
        self.first = replace(topology, node=0)
        self.server = ControlServer(self.first)
        self.workers = WorkerGroup("run", [], topology, folder / "workers")
        query = WorkerGroup("outcome", [], Topology(), folder / "query")
        self.following = asyncio.create_task(follow(self.workers, query, topology, peer_wait))

    async def expect(self, kind: Kind, attempt: str = "") -> None:
        node, message = await asyncio.wait_for(self.server.inbox.get(), 20)
        assert (node, message.kind, message.attempt) == (1, kind, attempt)

    def say(self, kind: Kind, attempt: str = "") -> None:
        self.server.broadcast(Message(kind, attempt))

    async def started(self, serial: int) -> None:
        """Wait until the pod has started the workers of its attempt of that number."""
        while self.workers.marker.parent.name != f"{serial:04d}":
            await asyncio.sleep(0.01)


class Followed(Protocol):
    """How the pod ends whose workers are a program, where pod 0 follows a script."""

    def __call__(self, program: str, script: Script, peer_wait: float = 60) -> Exit: ...


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Followed:
    async def play(script: Script, peer_wait: float) -> Exit:
        pod0 = Pod0(tmp_path, peer_wait)
        await pod0.server.listen()
        try:
            await script(pod0)
            return await asyncio.wait_for(pod0.following, 20)
        finally:
            pod0.workers.kill()
            await pod0.server.close()

    def run(program: str, script: Script, peer_wait: float = 60) -> Exit:
        workers_run(program, tmp_path, monkeypatch)
        return asyncio.run(play(script, peer_wait))

    return run


def test_it_begins_ends_and_begins_again_as_it_is_told(followed: Followed) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        pod0.say(Kind.START, "a")
        await pod0.started(1)
        pod0.say(Kind.START, "a")  # said twice: the attempt goes on
        pod0.say(Kind.STOP)
        pod0.say(Kind.START, "b")
        await pod0.started(2)
        pod0.say(Kind.START, "c")
        await pod0.started(3)
        pod0.say(Kind.FINISH)

    assert followed(FOREVER, script) == (0, {})


def test_an_attempt_that_lost_a_peer_is_reported_and_the_next_one_awaited(
    followed: Followed,
) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        for attempt in ("a", "b"):
            pod0.say(Kind.START, attempt)
            await pod0.expect(Kind.ENDED, attempt)
        pod0.say(Kind.STOP)
        pod0.say(Kind.FINISH)

    assert followed(LOST, script) == (0, {})


def test_workers_that_failed_by_themselves_end_the_pod(followed: Followed) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        pod0.say(Kind.START, "a")

    assert followed("echo '{\"exit_code\": 70}' > $outcome; exit 70", script).code == 70


def test_workers_that_are_done_wait_for_pod_0_to_say_that_the_run_is(followed: Followed) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        pod0.say(Kind.START, "a")
        await pod0.started(1)
        await asyncio.sleep(0.2)
        assert not pod0.following.done()
        pod0.workers.stop()

    assert followed("exit 0", script).code == 143, "stopped before pod 0 said so"


def test_a_pod_whose_place_is_taken_ends_with_75(followed: Followed) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        pod0.say(Kind.START, "a")
        await pod0.started(1)
        pod0.say(Kind.REPLACED)

    code, outcome = followed(FOREVER, script)
    assert code == 75
    assert "another pod has taken this one's place" in outcome["message"]


def test_a_stop_ends_the_workers_and_the_pod(followed: Followed) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        pod0.say(Kind.START, "a")
        await pod0.started(1)
        pod0.workers.stop()

    assert followed(FOREVER, script).code == 143


def test_pod_0_that_is_gone_is_waited_for_and_found_again(followed: Followed) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        pod0.say(Kind.START, "a")
        await pod0.started(1)
        await pod0.server.close()
        pod0.server = ControlServer(pod0.first)
        await asyncio.sleep(0.3)
        await pod0.server.listen()
        await pod0.expect(Kind.HELLO)
        pod0.say(Kind.FINISH)

    assert followed(FOREVER, script) == (0, {})


def test_pod_0_that_does_not_come_back_is_given_up(followed: Followed) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        await pod0.server.close()

    code, outcome = followed(FOREVER, script, peer_wait=0.3)
    assert code == 75
    assert "was not reached within 0.3 s" in outcome["message"]


def test_pod_0_of_another_run_is_not_followed(followed: Followed) -> None:
    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        await pod0.server.close()
        pod0.server = ControlServer(replace(pod0.first, token="another run's"))
        await pod0.server.listen()

    code, outcome = followed(FOREVER, script, peer_wait=0.3)
    assert code == 75
    assert "did not take each other for pods of one run" in outcome["message"]
    assert "FINETUNE_RUNTIME__PEER_TOKEN" in outcome["message"]


def test_a_pod_that_comes_when_the_run_is_over_asks_the_store(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("job.supervisor.follower.FIRST_QUERY_SECONDS", 0.1)
    answer = '{\\"exit_code\\": 0, \\"result\\": {\\"finished\\": true}}'

    async def script(pod0: Pod0) -> None:
        await pod0.expect(Kind.HELLO)
        await pod0.server.close()

    code, outcome = followed(f'[ $5 = outcome ] && echo "{answer}" > $outcome', script)
    assert (code, outcome["result"]) == (0, {"finished": True})
