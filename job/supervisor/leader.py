"""Pod 0: says when an attempt begins and ends."""

from __future__ import annotations

import asyncio
import secrets

from job.errors import PeerLost
from job.supervisor.channel import ControlServer, Kind, Message
from job.supervisor.topology import Topology
from job.supervisor.workers import Exit, WorkerGroup, cancel

FINISH_SECONDS = 5.0
"""For the others to hear that the run is done."""


async def lead(workers: WorkerGroup, topology: Topology) -> Exit:
    """Run attempts with the other pods until one ends the run, or this pod.

    Raises:
        PeerLost: the port, at which the others would report, is taken.
    """
    server = ControlServer(topology)
    try:
        await server.listen()
    except OSError as error:
        raise PeerLost(
            f"cannot listen at port {topology.port} of this pod ({error.strerror})",
            hint="another run on this machine may use it; set FINETUNE_RUNTIME__PORT to a free one",
        ) from None
    try:
        return await _run_attempts(workers, server)
    finally:
        await server.close()


async def _run_attempts(workers: WorkerGroup, server: ControlServer) -> Exit:
    # also what the ranks' notes stand under in a store that anybody can reach: not to be guessed
    life, serial = secrets.token_hex(16), 0
    while True:
        serial += 1
        attempt = f"{life}-{serial}"
        workers.start(serial, attempt)
        server.broadcast(Message(Kind.START, attempt))
        ended = await _run_attempt(workers, server, attempt)
        if ended is None:
            workers.kill()
        elif ended.code == 0:
            server.broadcast(Message(Kind.FINISH))
            await server.close(FINISH_SECONDS)
            return ended
        elif workers.stopping or not ended.rejoins:
            return ended
        server.broadcast(Message(Kind.STOP))


async def _run_attempt(workers: WorkerGroup, server: ControlServer, attempt: str) -> Exit | None:
    """How this pod's workers ended; None where another pod was lost while all trained together."""
    working = asyncio.create_task(workers.wait())
    while True:
        receiving = asyncio.create_task(server.inbox.get())
        await asyncio.wait({working, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            receiving.cancel()
            return working.result()
        node, message = receiving.result()
        lost_a_peer = message.kind is Kind.ENDED and message.attempt == attempt
        together = workers.marker.exists() and not workers.stopping
        if together and (lost_a_peer or message.kind is Kind.GONE):
            await cancel(working)
            return None
        if lost_a_peer or message.kind is Kind.HELLO:
            # before all train together a pod may come late, or a second time
            server.send(node, Message(Kind.START, attempt))
