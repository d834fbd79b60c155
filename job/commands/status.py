"""`finetune status`: the state of a run, or of every run below the output, and what the model is at."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from job.commands import COMMANDS
from job.commands.arguments import Arguments
from job.commands.overview import Overview, overview
from job.commands.printing import answer, on_one_line
from job.errors import InputMissing, Torn
from job.launch.queue import Waiting
from job.runs.listing import states
from job.runs.record import State
from job.settings import Settings, load
from job.store import open_store
from job.text import moment


def run(arguments: list[str]) -> int:
    """Print a state a line, as JSON; `status` says in words how the run stands. On a terminal it is a text
    for people, which begins with the champion and what has changed since; with `--json` all of that is one
    JSON object.

    Raises:
        Torn: a state is damaged; all that can be read have been printed.
    """
    given = Arguments.of(arguments, COMMANDS["status"])
    settings, whole = load(os.environ, given.settings).settings, bool(given.switches)
    if not whole and not sys.stdout.isatty():
        damaged = _print_runs(states(settings))
    else:
        damaged = _print_all(settings, as_json=whole)
    if damaged:
        raise damaged[0]
    return 0


def _print_runs(found: Iterable[dict[str, Any]]) -> list[Torn]:
    """Print a line of JSON for each run; the errors of those that are damaged."""
    runs, damaged = _runs(found)
    for state in runs:
        answer(json.dumps(state))
    return damaged


def _print_all(settings: Settings, *, as_json: bool) -> list[Torn]:
    """Print all that is known of the model; the errors of what is damaged.

    Raises:
        InputMissing: there is neither a run nor anything else of it.
    """
    about: Overview | None = None
    missing: InputMissing | None = None
    damaged: list[Torn] = []
    found: list[dict[str, Any]] = []
    try:
        found = states(settings)
    except InputMissing as error:
        missing = error
    try:
        store = open_store(settings.output, single_writer=settings.store.single_writer)
        about = overview(settings, store)
    except Torn as error:
        damaged.append(error)
    if missing and (about is None or about.empty):
        raise missing
    runs, torn = _runs(found)
    if as_json:
        answer(json.dumps({**(about.json() if about else {}), "runs": runs}, indent=1))
    else:
        for line in _text(about, runs):
            answer(on_one_line(line))
    return damaged + torn


def _text(about: Overview | None, runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if about is not None:
        yield from about.lines()
        yield ""
    width = max([len(state["run_id"]) for state in runs], default=0)
    for state in runs:
        yield f"{state['run_id']:<{width}}  {state['status']}"


def _runs(found: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Torn]]:
    """The states with words, and the errors of those that are damaged."""
    runs, damaged = [], []
    for state in found:
        error = state.pop("damaged", None)
        if error is not None:
            damaged.append(error)
        runs.append({**state, "status": str(error) if error else standing(state)})
    return runs, damaged


def standing(found: Mapping[str, Any]) -> str:
    """How a run stands, in words.

    Args:
        found: its state, and how it waits in a queue (`states`).
    """
    state = State.of(found, "state.json")
    if state.outcome:
        return f"{state.outcome} at {moment(state.ended)}"
    if waits := found.get("waiting"):
        stopped = f"stopped {state.position}, " if state.attempt else ""
        return f"{stopped}{Waiting.of(waits)}"
    if state.failure:
        return f"attempt {state.attempt} failed: {state.failure.get('message')}"
    if state.stopped:
        return (
            f"stopped {state.position} by a signal at {moment(state.stopped)}; it goes on from there "
            "when it is started again"
        )
    if not state.attempt:
        return "has not begun to train"
    return f"attempt {state.attempt} runs, or was killed; it was {state.position} at {moment(state.written)}"
