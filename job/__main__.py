"""The command line: find the command, run it, turn its outcome into an exit code."""

from __future__ import annotations

import os
import sys

from job import commands, supervisor
from job.commands.printing import answer, complain
from job.environment import line_ends
from job.errors import JobError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code of the design's table."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name == "help" or {"-h", "--help"} & {name, *rest}:
        asked = commands.COMMANDS.get(next(iter(rest), "") if name == "help" else name)
        answer((asked.usage if asked and asked.help else commands.usage()).rstrip())
        return 0
    if name == "worker" and len(rest) > 1:
        from job.commands.worker import work

        work(rest[0], rest[1], rest[2:])
    try:
        _leave_out_line_ends()
        command = commands.find(name)
        if not command.supervised:
            return int(command.resolve()(rest))
        supervisor.take_signals()  # before anything heavy is imported: a pod may be stopped at once
        return _supervised(command, rest)
    except Exception as error:  # noqa: BLE001 - whatever is raised here needs an exit code
        from job.commands.exit_codes import explained

        return explained(error)


def _supervised(command: commands.Command, rest: list[str]) -> int:
    """The work is done in subprocesses; wrong settings are refused before one starts."""
    from job.settings import load

    log = "/dev/termination-log"
    try:
        runtime = load(os.environ, rest, rules=command.rules).settings.runtime
        log = runtime.termination_log
        code, outcome = supervisor.supervise(
            command.name, rest, runtime, distributed=command.distributed
        )
    except JobError as error:
        complain(f"finetune: {error}")
        outcome = {"error": type(error).__name__, "message": str(error)}
        code, outcome = supervisor.record_outcome(error.exit_code, outcome, log)
    if code:
        from job.monitors.failure import show_failure

        show_failure(outcome)
    for line in outcome.get("lines", []):
        answer(line)
    return code


def _leave_out_line_ends() -> None:
    """Take the line end from what `echo` has put into a Secret, for the libraries too, and say so."""
    if changed := line_ends(os.environ):
        os.environ.update(changed)
        verb = (
            "ends in a line end, which is" if len(changed) == 1 else "end in a line end, which are"
        )
        complain(
            f"finetune: {', '.join(sorted(changed))} {verb} left out; make Secrets without it, by printf "
            "instead of echo"
        )


if __name__ == "__main__":
    sys.exit(main())
