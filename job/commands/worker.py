"""A worker process: does a command's work, and writes its outcome for the supervisor."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from job import commands, telemetry
from job.commands.exit_codes import bug, known
from job.errors import PeerLost, Stopped
from job.runtime.stop import StopSignal, die_with_parent, polling
from job.settings import load


def work(outcome_file: str, name: str, arguments: list[str]) -> NoReturn:
    """Run the command `name` in this process, write its outcome, and end."""
    die_with_parent()
    outcome = _outcome(name, arguments)
    with suppress(OSError):  # on a full disk the exit code alone has to do
        Path(outcome_file).write_text(json.dumps(outcome))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # a return would wait for the threads of pools: a stop in the middle of a download, for
    # s3transfer's, which wait for the store's next bytes
    os._exit(int(outcome["exit_code"]))


def _outcome(name: str, arguments: list[str]) -> dict[str, Any]:
    stop: StopSignal | None = None
    try:
        command = commands.find(name)
        settings = load(os.environ, arguments, rules=command.rules).settings
        stop = StopSignal(settings.runtime.grace_seconds)
        stop.install()
        telemetry.set_up(settings.log)
        with polling(stop.poll):
            result = command.resolve()(settings, stop)
        return {"exit_code": 0, "result": result.facts, "lines": result.lines}
    except Exception as error:  # noqa: BLE001 - whatever a worker raises, its supervisor must be told
        stopped = stop is not None and stop.raised
        return failure(error) | {"again": _rejoins(error, stopped=stopped)}


def failure(error: Exception) -> dict[str, Any]:
    """Log the error and name it; a traceback only where it is a bug."""
    named = known(error)
    if named is None:
        named = bug(error)
        telemetry.log.error(named.message, exc_info=error)
    else:
        telemetry.log.error(str(named), extra={"fields": {"exit_code": named.exit_code}})
    return {"exit_code": named.exit_code, "error": type(named).__name__, "message": str(named)}


def _rejoins(error: Exception, *, stopped: bool) -> bool:
    """Whether this pod stays for the next attempt: another was lost, or told to stop."""
    named = known(error)
    if isinstance(named, PeerLost):
        return named.rejoins
    return isinstance(named, Stopped) and not stopped
