"""What each command does, between the command line and the pipeline."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from job import telemetry
from job.distributed.world import is_lost_peer
from job.errors import (
    DiskFull,
    JobError,
    OutOfMemory,
    PeerLost,
    Stopped,
    StoreUnreachable,
    Unreachable,
    from_os_error,
)
from job.settings import Settings, load
from job.uris import mask

if TYPE_CHECKING:
    from job.runs.results import Result
    from job.runtime.device import StopSignal


def worker(outcome_file: str, command: str, arguments: list[str]) -> NoReturn:
    """Run the pipeline in this process, write its outcome for the supervisor, and end."""
    from job.runtime.device import StopSignal, die_with_parent

    die_with_parent()
    settings = load(os.environ, arguments, command=command).settings
    stop = StopSignal(settings.runtime.grace_seconds)
    stop.install()
    telemetry.set_up(settings.log)
    outcome: dict[str, Any]
    try:
        from job import launch, pipeline
        from job.commands import evaluate as evaluate_run
        from job.commands import predict as predict_run
        from job.commands import tokenizer as tokenizer_run

        runs: dict[str, Callable[[Settings, StopSignal], Result]] = {
            "launch": launch.launch,
            "prepare": partial(pipeline.run, prepare_only=True),
            "evaluate": evaluate_run.run,
            "predict": predict_run.run,
            "outcome": pipeline.outcome,
            "tokenizer": tokenizer_run.run,
        }
        result = runs.get(command, pipeline.run)(settings, stop)
        outcome = {"exit_code": 0, "result": result.facts, "lines": result.lines}
    except Exception as error:  # noqa: BLE001 - the one place where a bug gets its exit code
        outcome = _failure(error) | {"again": _again(error, stop)}
    with suppress(OSError):  # on a full disk the exit code alone has to do
        Path(outcome_file).write_text(json.dumps(outcome))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # a return would wait for the threads of pools: a stop in the middle of a download, for
    # s3transfer's, which wait for the store's next bytes
    os._exit(int(outcome["exit_code"]))


def _again(error: Exception, stop: StopSignal) -> bool:
    """Whether this pod stays for the next attempt: another was lost, or told to stop."""
    known = _known(error)
    if isinstance(known, PeerLost):
        return known.again
    return isinstance(known, Stopped) and not stop.raised


def _failure(error: Exception) -> dict[str, Any]:
    """Log the error and name it; a traceback only where it is a bug."""
    known = _known(error)
    if known is None:
        known = _bug(error)
        telemetry.log.error(known.message, exc_info=error)
    else:
        telemetry.log.error(str(known), extra={"fields": {"exit_code": known.exit_code}})
    return {"exit_code": known.exit_code, "error": type(known).__name__, "message": str(known)}


def explained(error: Exception) -> int:
    """Say on stderr what a command without a worker ended with; returns the exit code."""
    known = _known(error)
    if known is None:
        print(mask("".join(traceback.format_exception(error))), file=sys.stderr)
        known = _bug(error)
    if isinstance(known, Unreachable):
        known = StoreUnreachable(known.message, hint=known.hint)  # these commands record no attempt
    print(f"finetune: {known}", file=sys.stderr)
    return known.exit_code


def _bug(error: Exception) -> JobError:
    """Other people's errors may name a URI with all that is in it."""
    return JobError(mask(f"{type(error).__name__}: {error}"))


def _known(error: BaseException) -> JobError | None:
    """The error, or the one it was raised from, as one of ours."""
    if isinstance(error, JobError):
        return error
    if isinstance(error, OSError) and (known := from_os_error(error)):
        return known
    if is_lost_peer(error):
        return PeerLost(mask(" ".join(str(error).split())[:300]))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OutOfMemory(f"out of memory ({' '.join(str(error).split())[:200]})")
    if "No space left on device" in str(error):  # safetensors and tokenizers say it in words only
        return DiskFull("the scratch folder: no space left on the disk")
    return _known(error.__cause__) if error.__cause__ else None


def config(arguments: list[str]) -> int:
    """Print the effective settings with their origins, or the schema, or the reference."""
    from job.settings import show

    if "--schema" in arguments:
        print(json.dumps(Settings.model_json_schema(), indent=1))
    elif "--reference" in arguments:
        print(show.reference())
    else:
        print(show.effective(load(os.environ, arguments, complete=False)))
    return 0


def check(arguments: list[str]) -> int:
    """Look before running, and print the plan."""
    from job.commands.check import check as look
    from job.runtime.device import StopSignal

    settings = load(os.environ, arguments).settings
    telemetry.set_up(settings.log)
    for line in look(settings, StopSignal(settings.runtime.grace_seconds)):
        print(line)
    return 0


def status(arguments: list[str]) -> int:
    """Print the state of a run, or of every run below the output."""
    from job.runs.record import states

    settings = load(os.environ, arguments, complete=False).settings
    for state in states(settings):
        print(json.dumps(state))
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "config": config,
    "check": check,
    "status": status,
}
