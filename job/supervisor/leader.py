"""Pod 0: says when an attempt begins and ends."""

from __future__ import annotations

import asyncio
import secrets

from job.errors import PeerLost
from job.supervisor.channel import Heard, Switchboard
from job.supervisor.topology import Layout
from job.supervisor.workers import Crew, Ended, _cancel, stays

FAREWELL = 5.0
"""Seconds for the others to hear that the run is done."""


async def _first(crew: Crew, layout: Layout) -> Ended:
    """Pod 0: says when an attempt begins and ends."""
    board = Switchboard()
    try:
        await board.open(layout.port)
    except OSError as error:
        raise PeerLost(
            f"nothing can listen at this pod's port {layout.port} ({error.strerror})",
            hint="another run of this machine may have it; set FINETUNE_RUNTIME__PORT to a free one",
        ) from None
    life, serial = secrets.token_hex(4), 0
    try:
        while True:
            serial += 1
            name = f"{life}-{serial}"
            crew.start(serial, name)
            board.say("start", name=name)
            ended = await _attempt(crew, board, name)
            if ended is None:  # a pod was lost while all trained together
                crew.kill()
            elif ended[0] == 0:
                board.say("finish")
                await board.close(FAREWELL)
                return ended
            elif crew.signalled or not stays(*ended):
                return ended
            board.say("stop")
    finally:
        await board.close(0)


async def _attempt(crew: Crew, board: Switchboard, name: str) -> Ended | None:
    """How this pod's workers ended; None where another pod's loss ends the attempt."""
    working = asyncio.create_task(crew.ended())
    while True:
        hearing = asyncio.create_task(board.heard.get())
        await asyncio.wait({working, hearing}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            hearing.cancel()
            return working.result()
        heard = hearing.result()
        if _ends(heard, name) and crew.marker.exists() and not crew.signalled:
            await _cancel(working)
            return None
        if heard.said == "hello" or (heard.said == "ended" and heard.message.get("name") == name):
            # before all train together a pod may come late, or a second time
            board.say("start", heard.node, name=name)


def _ends(heard: Heard, name: str) -> bool:
    """Whether a world that trains together has lost this pod."""
    return heard.said == "gone" or (heard.said == "ended" and heard.message.get("name") == name)
