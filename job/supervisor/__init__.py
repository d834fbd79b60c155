"""PID 1: takes the signals, starts the workers, and turns how they ended into an exit code.

Python as PID 1 without handlers of its own ignores SIGTERM and dies by SIGKILL after the whole
grace period, so `take_signals` is called before anything heavy is imported. The work is done in
subprocesses: a worker that is killed or crashes still gets a named exit code and a termination message.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from job.errors import SettingsError, Stopped

if TYPE_CHECKING:
    from job.settings import Runtime

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
TERMINATION_MESSAGE_BYTES = 4096
"""What Kubernetes reads at most."""

_signals = 0


def take_signals() -> None:
    """Handle SIGTERM and SIGINT from now on: counted until workers run, then forwarded to them."""
    for number in STOP_SIGNALS:
        signal.signal(number, _count)


def _count(number: int, frame: FrameType | None) -> None:
    global _signals
    _signals += 1


def signals() -> int:
    """How often this process was told to stop."""
    return _signals


def supervise(
    command: str, arguments: list[str], runtime: Runtime, *, distributed: bool
) -> tuple[int, dict[str, Any]]:
    """Run `command` in workers, together with those of other pods if there are any, to the end.

    Args:
        distributed: whether several processes and pods take part in the command.

    Raises:
        SettingsError: there is no folder for temporary files, or the pods' numbers make no sense, or
            they could not tell each other from strangers.

    Returns:
        The exit code and the outcome: `error`, `message`, or what the run left.
    """
    import asyncio  # the signals are taken before this is read from the disk

    from job.supervisor.agent import run_attempts
    from job.supervisor.topology import Topology, topology_of

    topology = topology_of(runtime, os.environ) if distributed else Topology()
    topology.check_token()
    with _outcome_folder() as folder:
        if _signals:
            code, outcome = Stopped.exit_code, {"message": "stopped before the worker started"}
        else:
            attempts = run_attempts(command, arguments, topology, runtime, Path(folder), signals)
            code, outcome = asyncio.run(attempts)
    return record_outcome(code, outcome, runtime.termination_log)


def _outcome_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="finetune-outcome-")
    except OSError as error:
        raise SettingsError(
            f"temporary files cannot be written ({error.strerror})",
            hint="mount a writable /tmp, or point TMPDIR at a folder that is",
        ) from None


def record_outcome(
    code: int, outcome: dict[str, Any], termination_log: str
) -> tuple[int, dict[str, Any]]:
    """Write the outcome where Kubernetes looks for it, and return it with its exit code."""
    if not outcome and code:
        outcome = {"message": f"a worker exited with {code} and wrote no outcome; see the log"}
    outcome = {**outcome, "exit_code": code}
    if os.access(termination_log, os.W_OK):
        with suppress(OSError):  # the exit code matters more than the message
            Path(termination_log).write_text(_termination_message(outcome))
    return code, outcome


def _termination_message(outcome: dict[str, Any]) -> str:
    text = json.dumps(outcome)
    if len(text.encode()) > TERMINATION_MESSAGE_BYTES:
        text = json.dumps(
            {**outcome, "message": str(outcome.get("message", ""))[:1000], "result": {}}
        )
    return text
