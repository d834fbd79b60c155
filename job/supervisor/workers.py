"""The worker processes of this pod: started, signalled, ended, and asked what they ended with."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from job.errors import PeerLost, Stopped
from job.runtime.container import cpus
from job.supervisor.topology import Layout

TICK = 0.02
"""Seconds between two looks at the processes."""
LAST_WORDS = 10.0
"""Seconds for the others of a pod to end by themselves when one has failed."""

LAUNCHERS = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)

TOO_SLOW = (
    "stopped by a signal, and ended when the grace period was nearly over; started again, it goes on "
    "from the last checkpoint"
)

Outcome = dict[str, Any]


class Crew:
    """One process a device; together they end with one code, that of the one that failed first."""

    def __init__(
        self, command: str, arguments: Sequence[str], layout: Layout, folder: Path
    ) -> None:
        self._command, self._arguments, self._layout = command, list(arguments), layout
        self._folder = folder
        self._workers: list[subprocess.Popen[bytes]] = []
        self._here = folder
        self.signalled = self.expired = False

    def start(self, serial: int, name: str) -> None:
        """Start all of them for an attempt.

        Args:
            serial: the number of the attempt in this pod.
            name: of the attempt, the same in all pods.
        """
        shutil.rmtree(self._here, ignore_errors=True)
        self._here = self._folder / f"{serial:04d}"
        self._here.mkdir(parents=True)
        self._workers = [self._worker(local, name) for local in range(self._layout.processes)]
        if self.signalled:
            self.signal()

    def _worker(self, local: int, name: str) -> subprocess.Popen[bytes]:
        # on a CPU that is shared, threads that spin at a barrier keep the one they wait for from
        # running: a step takes up to ten times as long; threads that sleep cost nothing measurable
        quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR"}  # else stacks in the log of who waits for a peer
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **quiet, **os.environ}
        for variable in LAUNCHERS:  # torch and accelerate read them too, and would count otherwise
            environment.pop(variable, None)
        if self._layout.world > 1:
            environment |= self._layout.environment(local, name)
            environment["WORLD_MARKER"] = str(self.marker)
        if self._layout.world > 1 or cpus() < (os.cpu_count() or 1):
            threads = max(1, cpus() // self._layout.processes)
            environment.setdefault("OMP_NUM_THREADS", str(threads))
        # a session of its own: Ctrl-C in a terminal reaches the supervisor alone, which forwards it once
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "job", "worker", str(self._outcome(local))),
                *(self._command, *self._arguments),
            ],
            env=environment,
            start_new_session=True,
        )

    def _outcome(self, local: int) -> Path:
        return self._here / f"outcome-{local}.json"

    @property
    def marker(self) -> Path:
        """Is there while all ranks of the world train together."""
        return self._here / "together"

    @property
    def running(self) -> bool:
        """Whether there are workers."""
        return bool(self._workers)

    def signal(self) -> None:
        """SIGTERM to all of them, now and to those that are started later."""
        self.signalled = True
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)

    def expire(self) -> None:
        """End those that were told to stop and did not in time; it counts as the stop that it is."""
        self.expired = True
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()

    def kill(self) -> None:
        """End all of them at once."""
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()
        for worker in self._workers:
            worker.wait()
        self._workers = []

    async def ended(self) -> tuple[int, Outcome]:
        """Wait until all have ended, or one has failed and the others had time for their last words.

        Returns:
            The exit code, a signal's number plus 128 as a shell has it, and the outcome.
        """
        order: list[int] = []
        until = float("inf")
        while len(order) < len(self._workers) and time.monotonic() < until:
            for local, worker in enumerate(self._workers):
                if local not in order and worker.poll() is not None:
                    order.append(local)
                    if worker.returncode:
                        until = min(until, time.monotonic() + LAST_WORDS)
            await asyncio.sleep(TICK)
        found = [self._read(local) for local in order]
        self.kill()
        failed = [(code, outcome) for code, outcome in found if code]
        # who lost a peer only follows; who was lost says why
        causes = [item for item in failed if not item[1].get("again")]
        code, outcome = next(iter([*causes, *failed, *found]))
        # told to stop, it was about to end together with whom it lost
        return (Stopped.exit_code if self.signalled and outcome.get("again") else code), outcome

    def _read(self, local: int) -> tuple[int, Outcome]:
        """A worker's code and outcome; no outcome if it was killed, or a full disk cut it short."""
        try:
            outcome = dict(json.loads(self._outcome(local).read_text()))
        except (OSError, ValueError):
            outcome = {}
        code = self._workers[local].returncode
        if "exit_code" in outcome:
            return int(outcome["exit_code"]), outcome
        if self.expired and -code == signal.SIGKILL:
            return Stopped.exit_code, {"error": "Stopped", "message": TOO_SLOW}
        if self.signalled and (code == 0 or -code == signal.SIGTERM):
            return Stopped.exit_code, outcome
        return (code if code >= 0 else 128 - code), outcome


def stays(code: int, outcome: Outcome) -> bool:
    """Whether the pod stays for the next attempt: it did nothing wrong itself."""
    return code in (PeerLost.exit_code, Stopped.exit_code) and bool(outcome.get("again"))


TICK = 0.05


Ended = tuple[int, Outcome]


T = TypeVar("T")


async def _cancel(task: asyncio.Task[Any] | Coroutine[Any, Any, Any]) -> None:
    if isinstance(task, asyncio.Task):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
