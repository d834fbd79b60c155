"""A pod's part in a run's attempts: alone, as pod 0, or as one of the others.

A pod whose own worker failed exits with its code, for Kubernetes to count and recreate it. The
others stay: they end their workers and begin the next attempt at once, whose workers make everything
ready and wait for the missing pod.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from job.settings import Runtime
from job.supervisor.follower import follow
from job.supervisor.leader import lead
from job.supervisor.topology import Topology
from job.supervisor.workers import Exit, WorkerGroup

KILL_SECONDS = 1.0
"""Of the grace period, kept for killing what has not ended by itself."""
POLL_SECONDS = 0.05
"""Between two looks at the signals."""


async def run_attempts(
    command: str,
    arguments: Sequence[str],
    topology: Topology,
    runtime: Runtime,
    folder: Path,
    signals: Callable[[], int],
) -> Exit:
    """Take part until the run ends, this pod is told to stop, or a pod is missing for too long.

    Args:
        folder: for the workers' outcomes.
        signals: how often this process was told to stop.
    """
    workers = WorkerGroup(command, arguments, topology, folder / "workers")
    forwarding = asyncio.create_task(_forward_signals(workers, signals, runtime.grace_seconds))
    try:
        if topology.nodes == 1:
            return await _run_alone(workers, topology)
        if topology.node == 0:
            return await lead(workers, topology)
        query = WorkerGroup("outcome", arguments, Topology(), folder / "outcome")
        return await follow(workers, query, topology, runtime.peer_wait)
    finally:
        forwarding.cancel()
        workers.kill()


async def _forward_signals(
    workers: WorkerGroup, signals: Callable[[], int], grace_seconds: float
) -> None:
    """Stop the workers once for each signal to this process, and kill them before the grace is over."""
    forwarded, deadline = 0, math.inf
    while True:
        while forwarded < signals():
            forwarded += 1
            workers.stop()
            grace = max(grace_seconds - KILL_SECONDS, grace_seconds / 2)
            deadline = min(deadline, time.monotonic() + grace)
        if time.monotonic() > deadline:
            workers.expire()
        await asyncio.sleep(POLL_SECONDS)


async def _run_alone(workers: WorkerGroup, topology: Topology) -> Exit:
    """One pod: after an attempt that only lost a process, or shrank its micro-batches, comes another."""
    serial = 0
    while True:
        serial += 1
        workers.start(serial, f"{serial}")
        ended = await workers.wait()
        if workers.stopping or topology.world == 1 or not ended.rejoins:
            return ended
