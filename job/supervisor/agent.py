"""A pod's part in a run's attempts: alone, as pod 0, or as one of the others.

A pod whose own worker failed leaves with its code, for Kubernetes to count and make it anew. The
others stay: they end their workers, and begin the next attempt at once, whose workers wait for the
missing pod with everything made ready.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from job.errors import PeerLost, Stopped
from job.settings import Runtime
from job.supervisor.channel import Heard, Line, Switchboard, call
from job.supervisor.topology import Layout
from job.supervisor.workers import Crew, Outcome, stays

TICK = 0.05
LOOK_SECONDS = 30.0
"""Between two looks at the store for a run that ended without this pod."""
PARTING = 1.0
"""Seconds of the grace period that are kept for ending what has not ended by itself."""
FAREWELL = 5.0
"""Seconds for the others to hear that the run is done."""

Ended = tuple[int, Outcome]
T = TypeVar("T")

FAREWELLS: dict[str | None, Ended | None] = {
    None: None,
    "finish": (0, {}),
    "replaced": (PeerLost.exit_code, {"message": "another pod has taken this one's place"}),
}
"""After which a pod follows a connection no more."""


async def attend(
    command: str,
    arguments: Sequence[str],
    layout: Layout,
    runtime: Runtime,
    folder: Path,
    signals: Callable[[], int],
) -> Ended:
    """Take part until the run ends, this pod is told to stop, or a pod is missing for too long.

    Args:
        folder: for the workers' outcomes.
        signals: how often this process was told to stop.
    """
    crew = Crew(command, arguments, layout, folder / "crew")
    forwarding = asyncio.create_task(_forward(crew, signals, runtime.grace_seconds))
    try:
        if layout.nodes == 1:
            return await _alone(crew, layout)
        if layout.node == 0:
            return await _first(crew, layout)
        look = Crew("outcome", arguments, Layout(), folder / "look")
        return await _other(crew, look, layout, runtime.peer_wait)
    finally:
        forwarding.cancel()
        crew.kill()


async def _forward(crew: Crew, signals: Callable[[], int], grace: float) -> None:
    """Each signal to this process is one to its workers; after the grace period SIGKILL comes."""
    told, until = 0, math.inf
    while True:
        while told < signals():
            told += 1
            crew.signal()
            until = min(until, time.monotonic() + max(grace - PARTING, grace / 2))
        if time.monotonic() > until:
            crew.expire()
        await asyncio.sleep(TICK)


async def _alone(crew: Crew, layout: Layout) -> Ended:
    """One pod: an attempt that only lost a process, or shrank its micro-batches, begins anew here."""
    serial = 0
    while True:
        serial += 1
        crew.start(serial, f"{serial}")
        code, outcome = await crew.ended()
        if crew.signalled or layout.world == 1 or not stays(code, outcome):
            return code, outcome


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


async def _cancel(task: asyncio.Task[Any] | Coroutine[Any, Any, Any]) -> None:
    if isinstance(task, asyncio.Task):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
