"""A Job controller of a sort, for tests: what the API server is given to run is run, on this machine.

A Job's pod becomes a real process of the job with the pod's environment, and its end becomes the
Job's condition by its podFailurePolicy, in the words of the real controller.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.support.kubernetes_api import Api, Body
from tests.support.samples import ROOT


class Controller:
    """Runs the Jobs of an API server, one after the other."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.api, self.folder = api, folder
        self.held = threading.Event()
        """While it is set no pod is started, as under a queue."""
        self.started: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Controller:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            for body in self.api.all("jobs"):
                if not self.held.is_set() and not body.get("status", {}).get("conditions"):
                    self._run(body)
            time.sleep(0.05)

    def _run(self, body: Body) -> None:
        name = body["metadata"]["name"]
        template = body["spec"]["template"]
        (container,) = template["spec"]["containers"]
        self.started.append(name)
        log = (self.folder / f"{name}.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "job", *container["args"]],
            env=self._environment(container, template["metadata"], name),
            cwd=self.folder,
            stdout=log,
            stderr=log,
        )
        code = self._process.wait()
        body.setdefault("status", {})["conditions"] = [_condition(body, code)]
        self.api.stamp(body)

    def _environment(self, container: Body, metadata: Body, name: str) -> dict[str, str]:
        """The pod's: what the kubelet would make of it."""
        config = self.folder / f"{name}.json"
        config.write_text(metadata["annotations"]["finetune/config"])
        env = {k: v for k, v in os.environ.items() if not k.startswith("FINETUNE_")}
        env.pop("KUBECONFIG", None)
        for item in container["env"]:
            value = item.get("value")
            if value is None:
                value = _field(metadata, item["valueFrom"]["fieldRef"]["fieldPath"])
            env[item["name"]] = value.replace("$(WORKLOAD)", name)
        log = {"FINETUNE_RUNTIME__TERMINATION_LOG": str(self.folder / f"{name}.termination")}
        return env | {"FINETUNE_CONFIG": str(config), "PYTHONPATH": str(ROOT)} | log


def _field(metadata: Body, path: str) -> str:
    _, kind, rest = path.split(".", 2) if path.count(".") > 1 else (*path.split("."), "")
    whole = f"{kind}.{rest}" if rest else kind
    kind, _, key = whole.partition("['")
    return str(metadata[kind].get(key.removesuffix("']"), ""))


def _condition(body: Body, code: int) -> Body:
    if code == 0:
        return {"type": "Complete", "status": "True", "reason": "CompletionsReached"}
    failed = {"type": "Failed", "status": "True"}
    for index, rule in enumerate(body["spec"]["podFailurePolicy"]["rules"]):
        if rule["action"] == "FailJob" and code in rule["onExitCodes"]["values"]:
            said = f"Container x for pod team/x failed with exit code {code} matching FailJob rule at index {index}"
            return failed | {"reason": "PodFailurePolicy", "message": said}
    return failed | {"reason": "BackoffLimitExceeded", "message": "too many"}
