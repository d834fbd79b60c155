"""The other pods: do what pod 0 says, and wait for it where it is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from job.errors import PeerLost, Stopped
from job.supervisor.channel import Line, call
from job.supervisor.topology import Layout
from job.supervisor.workers import TICK, Crew, Ended, T, _cancel, stays

LOOK_SECONDS = 30.0
"""Between two looks at the store for a run that ended without this pod."""


FAREWELLS: dict[str | None, Ended | None] = {
    None: None,
    "finish": (0, {}),
    "replaced": (PeerLost.exit_code, {"message": "another pod has taken this one's place"}),
}
"""After which a pod follows a connection no more."""


async def _other(crew: Crew, look: Crew, layout: Layout, peer_wait: float) -> Ended:
    """The other pods: do what pod 0 says, and wait for it where it is gone."""
    while True:
        line = await _reach(crew, look, layout, peer_wait)
        if not isinstance(line, Line):
            return line
        ended = await _obey(crew, line)
        line.close()
        if ended is not None:
            return ended
        crew.kill()


async def _reach(crew: Crew, look: Crew, layout: Layout, peer_wait: float) -> Line | Ended:
    """Pod 0 on the line; or how the run ended without this pod."""
    began = time.monotonic()
    next_look, looks = began + LOOK_SECONDS / 3, 0
    while not crew.signalled:
        line = await _unless_stopped(crew, call(layout.address, layout.port, layout.node))
        if line is not None:
            return line
        now = time.monotonic()
        if now - began > peer_wait:
            error = PeerLost(
                f"pod 0 ({layout.address}:{layout.port}) was not reached within {peer_wait:g} s"
            )
            return error.exit_code, {"error": "PeerLost", "message": str(error)}
        if now > next_look:
            looks += 1
            look.start(looks, f"{looks}")
            found = await _unless_stopped(crew, look.ended())
            if found and found[0] == 0 and found[1].get("result", {}).get("finished"):
                return found
            next_look = time.monotonic() + LOOK_SECONDS
        await asyncio.sleep(0.2)
    look.kill()
    return Stopped.exit_code, {"message": "stopped while waiting for pod 0"}


async def _obey(crew: Crew, line: Line) -> Ended | None:
    """Follow one connection; None when it is gone."""
    serial, name = 0, ""
    working: asyncio.Task[Ended] | None = None
    while True:
        hearing = asyncio.create_task(line.hear())
        waiting: set[asyncio.Task[Any]] = {
            hearing,
            asyncio.create_task(_told_to_stop(crew, working)),
        }
        if working is not None:
            waiting.add(working)
        done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in rest - {working}:
            await _cancel(task)
        if working in done and hearing not in done:  # what is said counts first
            assert working is not None
            code, outcome = working.result()
            working = None
            if crew.signalled or (code and not stays(code, outcome)):
                return (code or Stopped.exit_code), outcome
            if code:
                line.say("ended", name=name)
            continue
        if hearing not in done:
            return Stopped.exit_code, {"message": "stopped while no attempt was under way"}
        message = hearing.result()
        said = message and message["say"]
        if said == "start" and message and message["name"] == name and working is not None:
            continue  # said twice
        if working is not None and said != "hello":
            await _cancel(working)
            working = None
            crew.kill()
        if said in FAREWELLS:
            return FAREWELLS[said]
        if message is not None and said == "start":
            serial, name = serial + 1, str(message["name"])
            crew.start(serial, name)
            working = asyncio.create_task(crew.ended())


async def _unless_stopped(crew: Crew, work: Coroutine[Any, Any, T]) -> T | None:
    """What some work gives; None when this pod is told to stop meanwhile."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(_told_to_stop(crew, None))
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    found = working.result() if working.done() else None
    await _cancel(working)
    await _cancel(stopping)
    return found


async def _told_to_stop(crew: Crew, working: object) -> None:
    """Ends when this pod was told to stop and has no workers that would end by themselves."""
    while not (crew.signalled and working is None):
        await asyncio.sleep(TICK)
