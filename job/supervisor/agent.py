"""A pod's part in a run's attempts: alone, as pod 0, or as one of the others.

A pod whose own worker failed leaves with its code, for Kubernetes to count and make it anew. The
others stay: they end their workers, and begin the next attempt at once, whose workers wait for the
missing pod with everything made ready.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from job.settings import Runtime
from job.supervisor.follower import _other
from job.supervisor.leader import _first
from job.supervisor.topology import Layout
from job.supervisor.workers import TICK, Crew, Ended, stays

PARTING = 1.0
"""Seconds of the grace period that are kept for ending what has not ended by itself."""


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
