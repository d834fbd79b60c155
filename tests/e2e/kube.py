"""kubectl and helm, as a person uses them, in a namespace of a test's own."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from helm import cli

Body = dict[str, Any]
T = TypeVar("T")
WAIT = 600
"""Seconds to wait for what should happen, on machines that are slow and shared."""


@dataclass
class Kube:
    """One namespace of the cluster."""

    kubectl: str
    namespace: str

    def __call__(self, *words: str, stdin: Path | str | None = None, check: bool = True) -> str:
        """kubectl; what it prints."""
        command = [self.kubectl, "--namespace", self.namespace, *words]
        if isinstance(stdin, Path):
            with stdin.open("rb") as file:
                done = subprocess.run(command, stdin=file, capture_output=True, check=False)
        else:
            data = (stdin or "").encode()
            done = subprocess.run(command, input=data, capture_output=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.decode()}")
        return done.stdout.decode()

    def apply(self, *bodies: Body) -> None:
        """Create objects, or bring them to this state."""
        self(
            "apply",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies}),
        )

    def all(self, kind: str, **labels: str) -> list[Body]:
        """The objects of a kind with these of the chart's labels, oldest first."""
        names = {
            "release": "app.kubernetes.io/instance",
            "component": "app.kubernetes.io/component",
        }
        selector = ",".join(f"{names[label]}={value}" for label, value in labels.items())
        found = json.loads(self("get", kind, "-l", selector, "-o", "json"))["items"]
        return sorted(found, key=lambda body: body["metadata"]["creationTimestamp"])

    def get(self, kind: str, name: str) -> Body | None:
        """One object; None where there is none."""
        text = self("get", kind, name, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text else None

    def events(self, name: str) -> list[str]:
        """The reasons of the Events about an object."""
        events = json.loads(self("get", "events", "-o", "json"))["items"]
        return [e["reason"] for e in events if e["involvedObject"]["name"] == name]

    def logs(self, pod: str) -> str:
        """What a pod has printed; nothing where it is gone or has not begun."""
        return self("logs", pod, check=False)

    def train(self, release: str) -> list[Body]:
        """The Jobs of a release that train."""
        return self.all("jobs", release=release, component="train")

    def pods(self, release: str, component: str = "train") -> list[Body]:
        """The pods of a release, oldest first."""
        return self.all("pods", release=release, component=component)

    @contextmanager
    def forward(self, pod: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to a pod's; kubectl gives it up where a connection
        breaks, and is started again."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            here = int(probe.getsockname()[1])
        command = [self.kubectl, "-n", self.namespace, "port-forward", pod, f"{here}:{port}"]
        over = threading.Event()
        running: list[subprocess.Popen[bytes]] = []

        def keep() -> None:
            while not over.is_set():
                running[:] = [subprocess.Popen(command, stdout=subprocess.DEVNULL)]
                running[0].wait()
                over.wait(0.5)

        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            yield here
        finally:
            over.set()
            for process in running:
                process.kill()
            thread.join()


def until(what: Callable[[], T | None], why: str, seconds: float = WAIT) -> T:
    """Wait until something is there, or true, and give it back."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {why}"
        time.sleep(1)
    return found


def end_of(job: Body) -> str:
    """Complete, Failed, or nothing."""
    conditions = job.get("status", {}).get("conditions", ())
    kinds = [c["type"] for c in conditions if c["status"] == "True"]
    return next((kind for kind in kinds if kind in ("Complete", "Failed")), "")


def index_of(pod: Body) -> int:
    """A pod's number in its Job."""
    return int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])


class Helm:
    """One release of the chart."""

    def __init__(self, binary: str, kube: Kube, release: str, values: Mapping[str, Any]) -> None:
        self.binary, self.kube, self.release, self.values = binary, kube, release, dict(values)

    def __call__(self, *words: str, **values: Any) -> str:
        """helm, with the release's values and more of them where it takes any."""
        takes = words[0] in ("install", "upgrade")
        arguments = [words[0], self.release, *([str(cli.CHART)] if takes else []), *words[1:]]
        both = merged(self.values, values) if takes else None
        done = cli.run(self.binary, *arguments, "--namespace", self.kube.namespace, values=both)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def is_there(self) -> bool:
        """Whether it is installed."""
        words = ("status", self.release, "--namespace", self.kube.namespace)
        return cli.run(self.binary, *words).returncode == 0


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm merges them."""
    both = dict(base)
    for key, value in more.items():
        before = both.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            both[key] = merged(before, value)
        else:
            both[key] = value
    return both
