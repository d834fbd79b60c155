"""PID 1: takes the signals, starts the worker, and turns its end into an exit code.

Python as PID 1 without handlers of its own ignores SIGTERM and dies by SIGKILL after the whole
grace period, so `take_signals` is called before anything heavy is imported. The work is done in a
subprocess: a worker that is killed or crashes still gets a named exit code and a termination message.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from job.errors import SettingsError, Stopped

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_worker: subprocess.Popen[bytes] | None = None
_stopped = False


def take_signals() -> None:
    """Handle SIGTERM and SIGINT from now on: remembered until a worker runs, then forwarded."""
    for number in STOP_SIGNALS:
        signal.signal(number, _forward)


def _forward(number: int, frame: FrameType | None) -> None:
    global _stopped
    _stopped = True
    if _worker is not None and _worker.poll() is None:
        _worker.send_signal(signal.SIGTERM)


def supervise(
    command: str, arguments: list[str], termination_log: str
) -> tuple[int, dict[str, Any]]:
    """Run `command` in a worker and wait for it.

    Raises:
        SettingsError: there is no folder for temporary files.

    Returns:
        The exit code and the worker's outcome: `error`, `message`, or what the run left.
    """
    global _worker
    with _outcome_folder() as folder:
        path = Path(folder) / "outcome.json"
        if _stopped:
            return finish(
                Stopped.exit_code, {"message": "stopped before the worker started"}, termination_log
            )
        # on a CPU that is shared, threads that spin at a barrier keep the one they wait for from
        # running: a step takes up to ten times as long; threads that sleep cost nothing measurable
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        # a session of its own: Ctrl-C in a terminal reaches the supervisor alone, which forwards it once
        _worker = subprocess.Popen(
            [sys.executable, "-m", "job", "worker", str(path), command, *arguments],
            env=environment,
            start_new_session=True,
        )
        if _stopped:
            _worker.send_signal(signal.SIGTERM)
        code = _worker.wait()
        outcome = _read(path)
    return finish(_exit_code(code, outcome), outcome, termination_log)


def _outcome_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="finetune-outcome-")
    except OSError as error:
        raise SettingsError(
            f"temporary files cannot be written ({error.strerror})",
            hint="mount a writable /tmp, or point TMPDIR at a folder that is",
        ) from None


def _read(path: Path) -> dict[str, Any]:
    """The worker's outcome; nothing if it was killed first, or a full disk cut it short."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _exit_code(code: int, outcome: dict[str, Any]) -> int:
    """The outcome file's code if there is one; a signal's number plus 128 as a shell has it."""
    if "exit_code" in outcome:
        return int(outcome["exit_code"])
    if code >= 0:
        return Stopped.exit_code if _stopped and code == 0 else code
    return Stopped.exit_code if _stopped and -code == signal.SIGTERM else 128 - code


def finish(code: int, outcome: dict[str, Any], termination_log: str) -> tuple[int, dict[str, Any]]:
    """Leave the outcome where Kubernetes looks for it (at most 4096 bytes)."""
    if not outcome and code:
        outcome = {"message": f"the worker ended with {code} and left no word; see the log"}
    outcome = {**outcome, "exit_code": code}
    if os.access(termination_log, os.W_OK):
        with suppress(OSError):  # the exit code matters more than the message
            Path(termination_log).write_text(_short(outcome))
    return code, outcome


def _short(outcome: dict[str, Any]) -> str:
    text = json.dumps(outcome)
    if len(text.encode()) > 4096:
        text = json.dumps(
            {**outcome, "message": str(outcome.get("message", ""))[:1000], "result": {}}
        )
    return text
