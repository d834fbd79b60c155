"""The command line: parse the command, load the settings, run, turn the outcome into an exit code."""

from __future__ import annotations

import os
import sys

from job import commands, supervisor
from job.errors import JobError
from job.settings import load

USAGE = """usage: finetune COMMAND [--SECTION.NAME VALUE …]

  run      fetch, clean, encode, train, evaluate and publish
  prepare  fetch, clean and encode only
  check    look before running: settings, store, model, first rows, memory; prints a plan
  status   a run's state, read from the store
  config   the effective settings with their origins; --schema, --reference

Settings come from flags, FINETUNE_… variables, and the file that FINETUNE_CONFIG names.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code of the design's table."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if command == "worker":
        return commands.worker(rest[0], rest[1], rest[2:])
    if command in ("run", "prepare"):
        supervisor.take_signals()
        return _supervised(command, rest)
    try:
        return commands.COMMANDS[command](rest)
    except KeyError:
        print(f"finetune: no command {command!r}\n{USAGE}", file=sys.stderr, end="")
        return 78
    except JobError as error:
        print(f"finetune: {error}", file=sys.stderr)
        return error.exit_code


def _supervised(command: str, rest: list[str]) -> int:
    """`run` and `prepare` work in a subprocess; wrong settings are refused before it starts."""
    log = "/dev/termination-log"
    try:
        log = load(os.environ, rest).settings.runtime.termination_log
    except JobError as error:
        print(f"finetune: {error}", file=sys.stderr)
        outcome = {"error": type(error).__name__, "message": str(error)}
        return supervisor.finish(error.exit_code, outcome, log)[0]
    code, outcome = supervisor.supervise(command, rest, log)
    for line in outcome.get("lines", []):
        print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
