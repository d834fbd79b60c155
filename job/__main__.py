"""The command line: parse the command, load the settings, run, turn the outcome into an exit code."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches

from job import supervisor
from job.errors import JobError

USAGE = """usage: finetune COMMAND [--SECTION.NAME VALUE …]

  run        fetch, clean, encode, train, evaluate and publish
  prepare    fetch, clean and encode only
  evaluate   score a published model, ours or the Hub's, on any rows
  predict    batch inference: rows in, the same rows with predictions out
  tokenizer  train a tokenizer on the texts and publish it
  launch     in the cluster: train if the data, the settings or the code have changed, else skip
  check      look before running: settings, store, model, first rows, memory; prints a plan
  status     a run's state, read from the store
  config     the effective settings with their origins; --schema, --reference

Settings come from flags, FINETUNE_… variables, and the file that FINETUNE_CONFIG names.
"""
SUPERVISED = ("run", "prepare", "evaluate", "predict", "tokenizer", "launch")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code of the design's table."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command == "help" or {"-h", "--help"} & {command, *rest}:
        print(USAGE, end="")
        return 0
    if command in SUPERVISED:
        supervisor.take_signals()  # before anything else is imported: a pod may be stopped at once
        return _supervised(command, rest)
    from job import commands

    if command == "worker" and len(rest) > 1:
        return commands.worker(rest[0], rest[1], rest[2:])
    if command not in commands.COMMANDS:
        near = get_close_matches(command, [*SUPERVISED, *commands.COMMANDS], n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        print(f"finetune: there is no command {command!r}{guess}; see --help", file=sys.stderr)
        return 78
    try:
        return commands.COMMANDS[command](rest)
    except Exception as error:  # noqa: BLE001 - the one place where a bug gets its exit code
        return commands.explained(error)


def _supervised(command: str, rest: list[str]) -> int:
    """`run` and `prepare` work in a subprocess; wrong settings are refused before it starts."""
    from job.settings import load

    log = "/dev/termination-log"
    try:
        runtime = load(os.environ, rest, command=command).settings.runtime
        log = runtime.termination_log
        code, outcome = supervisor.supervise(command, rest, runtime)
    except JobError as error:
        print(f"finetune: {error}", file=sys.stderr)
        outcome = {"error": type(error).__name__, "message": str(error)}
        return supervisor.finish(error.exit_code, outcome, log)[0]
    for line in outcome.get("lines", []):
        print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
