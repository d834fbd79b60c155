"""The worker processes of this pod: started, signalled, ended, and what they ended with."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from job.distributed.membership import LAUNCHER_VARIABLES
from job.errors import PeerLost, Stopped
from job.runtime.container import cpus
from job.supervisor.topology import Topology

POLL_SECONDS = 0.02
"""Between two looks at the processes."""
SETTLE_SECONDS = 10.0
"""For the others of a pod to end by themselves when one has failed."""

GRACE_EXCEEDED = (
    "stopped by a signal, and killed when the grace period was nearly over; started again, it goes on "
    "from the last checkpoint"
)

Outcome = dict[str, Any]
"""What a worker writes before it exits; see `job.commands.worker`."""


class Exit(NamedTuple):
    """How a worker, or a pod, has ended."""

    code: int
    """A signal's number plus 128, as in a shell, where one ended it."""
    outcome: Outcome

    @property
    def follows_a_loss(self) -> bool:
        """Whether it ended only because another process was lost, or told to stop."""
        return bool(self.outcome.get("again"))

    @property
    def rejoins(self) -> bool:
        """Whether the pod stays for the next attempt: it did nothing wrong itself."""
        return self.code in (PeerLost.exit_code, Stopped.exit_code) and self.follows_a_loss


class WorkerGroup:
    """One process a device; together they end with one code, that of the one that failed first."""

    def __init__(
        self, command: str, arguments: Sequence[str], topology: Topology, folder: Path
    ) -> None:
        """
        Args:
            command: with `arguments`, what each of them runs.
            folder: for their outcomes.
        """
        self._command, self._arguments, self._topology = command, list(arguments), topology
        self._folder = self._attempt_folder = folder
        self._workers: list[subprocess.Popen[bytes]] = []
        self.stopping = False
        """Whether this pod was told to stop."""
        self._expired = False

    def start(self, serial: int, attempt: str) -> None:
        """Start all of them for an attempt.

        Args:
            serial: the number of the attempt in this pod.
            attempt: its name, the same in all pods.
        """
        shutil.rmtree(self._attempt_folder, ignore_errors=True)
        self._attempt_folder = self._folder / f"{serial:04d}"
        self._attempt_folder.mkdir(parents=True)
        self._workers = [self._start(local, attempt) for local in range(self._topology.processes)]
        if self.stopping:
            self.stop()

    def _start(self, local: int, attempt: str) -> subprocess.Popen[bytes]:
        # a session of its own: Ctrl-C in a terminal reaches the supervisor alone, which forwards it once
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "job", "worker", str(self._outcome_file(local))),
                *(self._command, *self._arguments),
            ],
            env=self._environment(local, attempt),
            start_new_session=True,
        )

    def _environment(self, local: int, attempt: str) -> dict[str, str]:
        topology = self._topology
        # on a CPU that is shared, threads that spin at a barrier keep the one they wait for from
        # running: a step takes up to ten times as long; threads that sleep cost nothing measurable
        waiting = {"OMP_WAIT_POLICY": "PASSIVE"}
        quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR"}  # else stacks in the log of who waits for a peer
        environment = waiting | quiet | dict(os.environ)
        if topology.nodes == 1 and (loopback := _loopback()):
            # else anybody who reaches this pod could join
            environment.setdefault("GLOO_SOCKET_IFNAME", loopback)
        for variable in LAUNCHER_VARIABLES:  # torch and accelerate would count by them
            environment.pop(variable, None)
        if topology.world > 1:
            environment |= topology.membership(local, attempt, self.marker).environment()
        if topology.world > 1 or cpus() < (os.cpu_count() or 1):
            threads = max(1, cpus() // topology.processes)
            environment.setdefault("OMP_NUM_THREADS", str(threads))
        return environment

    def _outcome_file(self, local: int) -> Path:
        return self._attempt_folder / f"outcome-{local}.json"

    @property
    def marker(self) -> Path:
        """A file that exists while all ranks of the world train together."""
        return self._attempt_folder / "together"

    def stop(self) -> None:
        """SIGTERM to all of them, now and to those that are started later."""
        self.stopping = True
        self._signal(signal.SIGTERM)

    def expire(self) -> None:
        """Kill those that were told to stop and did not in time; it counts as the stop that it is."""
        self._expired = True
        self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """End all of them at once."""
        self._signal(signal.SIGKILL)
        for worker in self._workers:
            worker.wait()
        self._workers = []

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.send_signal(number)  # not sent to one that has ended

    async def wait(self) -> Exit:
        """Wait until all have ended, or one has failed and the others had time to end by themselves."""
        order: list[int] = []
        deadline = float("inf")
        while len(order) < len(self._workers) and time.monotonic() < deadline:
            for local, worker in enumerate(self._workers):
                if local not in order and worker.poll() is not None:
                    order.append(local)
                    if worker.returncode:
                        deadline = min(deadline, time.monotonic() + SETTLE_SECONDS)
            await asyncio.sleep(POLL_SECONDS)
        exits = [self._exit_of(local) for local in order]
        self.kill()
        failed = [each for each in exits if each.code]
        # who lost a peer only follows; who was lost says why
        causes = [each for each in failed if not each.follows_a_loss]
        cause = next(iter([*causes, *failed, *exits]))
        if self.stopping and cause.follows_a_loss:
            # told to stop, it was about to end together with whom it lost
            return Exit(Stopped.exit_code, cause.outcome)
        return cause

    def _exit_of(self, local: int) -> Exit:
        """A worker's code and outcome; no outcome if it was killed, or a full disk cut it short."""
        try:
            outcome = dict(json.loads(self._outcome_file(local).read_text()))
        except (OSError, ValueError):
            outcome = {}
        code = self._workers[local].returncode
        if "exit_code" in outcome:
            return Exit(int(outcome["exit_code"]), outcome)
        if self._expired and -code == signal.SIGKILL:
            return Exit(Stopped.exit_code, {"error": "Stopped", "message": GRACE_EXCEEDED})
        if self.stopping and (code == 0 or -code == signal.SIGTERM):
            return Exit(Stopped.exit_code, outcome)
        return Exit(code if code >= 0 else 128 - code, outcome)


def _loopback() -> str | None:
    """The interface that only this machine can be reached at."""
    names = {name for _, name in socket.if_nameindex()}
    return next((name for name in ("lo", "lo0") if name in names), None)


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
