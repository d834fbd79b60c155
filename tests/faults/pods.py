"""Pods as processes on this machine: started, killed at any moment, and recreated as a Job would.

A pod is a supervisor in a session of its own with its workers; a killed one takes them with it.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.support.samples import ROOT

PERMANENT = (65, 66, 77, 78, 80, 81, 82)
"""Codes on which a Job gives up."""


class Pod:
    """One pod of a world; `log` grows as it speaks, over all its lives."""

    def __init__(self, number: int, env: Mapping[str, str], folder: Path) -> None:
        self.number, self._env, self._folder = number, dict(env), folder
        self.log: list[str] = []
        self.codes: list[int] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, again."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "job", "run"],
            env={**self._env, "JOB_COMPLETION_INDEX": str(self.number)},
            cwd=self._folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=[self.process], daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line.rstrip())

    def kill(self, number: signal.Signals) -> bool:
        """Send the supervisor a signal; SIGKILL ends its workers too, as their pod would.

        Returns:
            Whether it was running.
        """
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

    def kill_worker(self, chance: random.Random) -> bool:
        """SIGKILL to one of its processes; returns whether there was one."""
        assert self.process is not None
        with suppress(OSError):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            if pids := children.read_text().split():
                os.kill(int(chance.choice(pids)), signal.SIGKILL)
                return True
        return False

    def said(self, words: str, since: int = 0) -> bool:
        """Whether it has said so, from line `since` on."""
        return any(words in line for line in self.log[since:])


@dataclass
class Cluster:
    """So many pods, each recreated until the first one has ended well."""

    nodes: int
    env: Mapping[str, str]
    folder: Path
    processes: int = 1
    pods: list[Pod] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.port = free_port()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FINETUNE_")}
        whole = {
            **clean,
            "PYTHONPATH": f"{Path(__file__).parent / 'no_unpickling'}:{ROOT}",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",  # as in a pod without a GPU, wherever the tests run
            "FINETUNE_RUNTIME__NODES": str(self.nodes),
            "FINETUNE_RUNTIME__PROCESSES": str(self.processes),
            "FINETUNE_RUNTIME__ADDRESS": "127.0.0.1",
            "FINETUNE_RUNTIME__PORT": str(self.port),
            "FINETUNE_LOG__FORMAT": "json",
            **self.env,
        }
        self.pods = [Pod(number, whole, self.folder) for number in range(self.nodes)]

    def run(
        self, meddle: Callable[[Cluster], None] = lambda cluster: None, seconds: float = 600
    ) -> None:
        """Run to the end; `meddle` is called again and again and may kill pods.

        Raises:
            AssertionError: a pod ended with a permanent code, or time is up.
        """
        until = time.monotonic() + seconds
        with self.up():
            while not self._done():
                assert time.monotonic() < until, self.tail()
                meddle(self)
                time.sleep(0.02)
            self.codes()  # the others hear of it

    @contextmanager
    def up(self) -> Iterator[Self]:
        """Its pods, started; what is left of them in the end is killed."""
        try:
            for pod in self.pods:
                pod.start()
            yield self
        finally:
            for pod in self.pods:
                pod.kill(signal.SIGKILL)

    def until(self, words: str, pod: int = 0, since: int = 0) -> None:
        """Wait for a pod to say so, from line `since` of its log on."""
        end = time.monotonic() + 300
        while not self.pods[pod].said(words, since):
            assert time.monotonic() < end, self.tail()
            time.sleep(0.005)

    def codes(self) -> list[int]:
        """Wait for all pods, and give what they ended with."""
        return [pod.process.wait(120) for pod in self.pods if pod.process is not None]

    def _done(self) -> bool:
        """Recreate what ended, unless the run is over."""
        for pod in self.pods:
            assert pod.process is not None
            code = pod.process.poll()
            if code is None:
                continue
            if pod.number == 0 and code == 0:
                return True
            if code == 0:  # it has read that the run is over
                continue
            pod.codes.append(code)
            assert code not in PERMANENT, f"pod {pod.number} ended with {code}: {self.tail()}"
            pod.start()
        return False

    def tail(self) -> str:
        """The last lines of every pod, for a message."""
        return "\n".join(f"{pod.number}: {line}" for pod in self.pods for line in pod.log[-8:])


class Killer:
    """Kills at random moments, most of them after the first step: a pod, one process of a pod, or
    all pods at once, which counts as one.

    Args:
        kills: at most.
        within: seconds after a world began to train in which it is killed.
    """

    def __init__(self, seed: int, kills: int, within: float = 2.5) -> None:
        self._random, self.left, self._within = random.Random(seed), kills, within
        self._plan: tuple[str, float] | None = None
        self.done: list[str] = []
        """Such as `SIGKILL to pod 0`."""

    def __call__(self, cluster: Cluster) -> None:
        """Kill if it is time."""
        now, begun = time.monotonic(), sum('"training"' in line for line in cluster.pods[0].log)
        if self._plan is None and self.left > 0:
            # one in four while the world forms or prepares, the others after training began
            early = self._random.random() < 0.25
            self._plan = ("at", now + self._random.uniform(0, 5)) if early else ("after", begun)
        if self._plan and self._plan[0] == "after" and begun > self._plan[1]:
            self._plan = ("at", now + self._random.uniform(0, self._within))
        if self._plan and self._plan[0] == "at" and now >= self._plan[1]:
            self._plan = None
            if done := self._kill(cluster):
                self.done.append(done)
                self.left -= 1

    def _kill(self, cluster: Cluster) -> str:
        """Kill something, if it is running; what was killed, for `done`."""
        pod, which = self._random.choice(cluster.pods), self._random.random()
        number = self._random.choice([signal.SIGKILL, signal.SIGTERM])
        if which < 0.2:
            return f"SIGKILL to a process of pod {pod.number}" * pod.kill_worker(self._random)
        if which < 0.3 and len(cluster.pods) > 1:
            hit = [each.kill(number) for each in cluster.pods]
            return f"{number.name} to all pods" * any(hit)
        return f"{number.name} to pod {pod.number}" * pod.kill(number)


def free_port() -> int:
    """A port whose next one is free too."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return int(port)
