"""The other pods: each does what pod 0 says, and waits for it where it is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from job.errors import PeerLost, Stopped
from job.supervisor.channel import Connection, Kind, Message, NotOfThisRun, connect
from job.supervisor.topology import Topology
from job.supervisor.workers import Exit, WorkerGroup, cancel

POLL_SECONDS = 0.05
"""Between two looks at whether this pod was told to stop."""
RETRY_SECONDS = 0.2
"""Between two tries to reach pod 0."""
FIRST_QUERY_SECONDS = 10.0
QUERY_SECONDS = 30.0
"""Between two queries to the store for a run that has ended without this pod."""

REPLACED = Exit(PeerLost.exit_code, {"message": "another pod has taken this one's place"})
STOPPED_WAITING = Exit(Stopped.exit_code, {"message": "stopped while waiting for pod 0"})
STOPPED_IDLE = Exit(Stopped.exit_code, {"message": "stopped while no attempt was under way"})

T = TypeVar("T")


async def follow(
    workers: WorkerGroup, query: WorkerGroup, topology: Topology, peer_wait: float
) -> Exit:
    """Take part in pod 0's attempts until the run, or this pod, ends.

    Args:
        query: asks the store whether the run has ended.
        peer_wait: seconds to wait for pod 0.
    """
    while True:
        reached = await _reach(workers, query, topology, peer_wait)
        if isinstance(reached, Exit):
            return reached
        ended = await _Following(workers, reached).run()
        reached.close()
        if ended is not None:
            return ended
        workers.kill()


async def _reach(
    workers: WorkerGroup, query: WorkerGroup, topology: Topology, peer_wait: float
) -> Connection | Exit:
    """A connection to pod 0; or how this pod ends without one."""
    began = time.monotonic()
    next_query, queries = began + FIRST_QUERY_SECONDS, 0
    while not workers.stopping:
        refused = False
        try:
            connection = await _unless_stopped(workers, connect(topology))
        except NotOfThisRun:
            connection, refused = None, True
        if connection is not None:
            return connection
        now = time.monotonic()
        if now - began > peer_wait:
            error = _not_reached(topology, peer_wait, refused=refused)
            return Exit(error.exit_code, {"error": "PeerLost", "message": str(error)})
        if now > next_query:
            queries += 1
            query.start(queries, f"{queries}")
            answer = await _unless_stopped(workers, query.wait())
            if answer and answer.code == 0 and answer.outcome.get("result", {}).get("finished"):
                return answer
            next_query = time.monotonic() + QUERY_SECONDS
        await asyncio.sleep(RETRY_SECONDS)
    query.kill()
    return STOPPED_WAITING


def _not_reached(topology: Topology, peer_wait: float, *, refused: bool) -> PeerLost:
    pod0 = f"pod 0 ({topology.address}:{topology.port})"
    if not refused:
        return PeerLost(f"{pod0} was not reached within {peer_wait:g} s")
    return PeerLost(
        f"{pod0} and this pod did not take each other for pods of one run within {peer_wait:g} s",
        hint="FINETUNE_RUNTIME__PEER_TOKEN and FINETUNE_RUNTIME__NODES must be the same in all of its pods",
    )


class _Following:
    """One connection to pod 0, and the attempt that this pod takes part in through it, if any."""

    def __init__(self, workers: WorkerGroup, connection: Connection) -> None:
        self._workers, self._connection = workers, connection
        self._serial, self._attempt = 0, ""
        self._working: asyncio.Task[Exit] | None = None
        """The workers of the attempt; None when no attempt is under way."""

    async def run(self) -> Exit | None:
        """How this pod ends; None where the connection is closed first."""
        receiving = asyncio.create_task(self._connection.receive())
        try:
            while True:
                await self._next_event(receiving)
                if receiving.done():  # a message counts before the end of the workers
                    message = receiving.result()
                    ended = await self._obey(message)
                    if message.kind is Kind.GONE:
                        return None
                    receiving = asyncio.create_task(self._connection.receive())
                elif self._working is not None:
                    ended = self._workers_ended(self._working.result())
                else:
                    ended = STOPPED_IDLE
                if ended is not None:
                    return ended
        finally:
            await cancel(receiving)

    async def _next_event(self, receiving: asyncio.Task[Message]) -> None:
        """Wait for a message, or the end of the workers; without workers, for this pod to be stopped."""
        ending: asyncio.Task[Any]
        ending = self._working or asyncio.create_task(_stop_requested(self._workers))
        await asyncio.wait({receiving, ending}, return_when=asyncio.FIRST_COMPLETED)
        if ending is not self._working:
            await cancel(ending)

    async def _obey(self, message: Message) -> Exit | None:
        """Do what pod 0 says; how this pod ends, if it is to end."""
        starts = message.kind is Kind.START
        if starts and message.attempt == self._attempt and self._working is not None:
            return None  # said twice
        await self._end_attempt()
        if starts:
            self._serial, self._attempt = self._serial + 1, message.attempt
            self._workers.start(self._serial, self._attempt)
            self._working = asyncio.create_task(self._workers.wait())
        if message.kind is Kind.REPLACED:
            return REPLACED
        return Exit(0, {}) if message.kind is Kind.FINISH else None

    async def _end_attempt(self) -> None:
        if self._working is not None:
            await cancel(self._working)
            self._working = None
            self._workers.kill()

    def _workers_ended(self, ended: Exit) -> Exit | None:
        """How this pod ends after its workers have; None where it waits for what pod 0 says next."""
        self._working = None
        if self._workers.stopping or (ended.code and not ended.rejoins):
            return Exit(ended.code or Stopped.exit_code, ended.outcome)
        if ended.code:
            self._connection.send(Message(Kind.ENDED, self._attempt))
        return None


async def _unless_stopped(workers: WorkerGroup, work: Coroutine[Any, Any, T]) -> T | None:
    """What some work returns, or raises; None when this pod is told to stop before."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(_stop_requested(workers))
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        await cancel(stopping)
        await cancel(working)


async def _stop_requested(workers: WorkerGroup) -> None:
    while not workers.stopping:
        await asyncio.sleep(POLL_SECONDS)
