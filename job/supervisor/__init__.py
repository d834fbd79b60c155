"""PID 1: takes the signals, starts the workers, and turns how they ended into an exit code.

Python as PID 1 without handlers of its own ignores SIGTERM and dies by SIGKILL after the whole
grace period, so `take_signals` is called before anything heavy is imported. The work is done in
subprocesses: a worker that is killed or crashes still gets a named exit code and a termination message.
"""

from __future__ import annotations

import json
import math
import os
import signal
import tempfile
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from job.errors import SettingsError, Stopped
from job.redaction import redact_all

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
            Path(termination_log).write_bytes(termination_message(outcome))
    return code, outcome


def termination_message(outcome: Mapping[str, Any]) -> bytes:
    """The outcome as JSON that Kubernetes reads whole: what is too long for it is shortened.

    The lines for a terminal are left out first, then the result, then the middle of the message:
    its beginning says what is wrong, and its end what to do.
    """
    known = redact_all(dict(outcome))
    message = str(known.get("message", ""))
    brief = {name: known[name] for name in ("exit_code", "error") if name in known}
    for shown in (
        known,
        {name: value for name, value in known.items() if name != "lines"},
        {**brief, "message": message},
    ):
        if len(encoded := _as_json(shown)) <= TERMINATION_MESSAGE_BYTES:
            return encoded
    room = bisect_right(
        range(len(message)),
        TERMINATION_MESSAGE_BYTES,
        key=lambda kept: len(_as_json({**brief, "message": _shortened(message, kept)})),
    )
    return _as_json({**brief, "message": _shortened(message, room - 1)})


def _shortened(text: str, kept: int) -> str:
    """Its beginning and its end, so many characters in all."""
    end = kept // 3
    return f"{text[: kept - end]} … {text[len(text) - end :]}"


def _as_json(value: Any) -> bytes:
    # a surrogate is written as JSON's own escape
    return json.dumps(_finite(value), ensure_ascii=False).encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    """JSON has no word for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
