"""`finetune status`: the state of a run, or of every run below the output."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from job.commands.printing import answer
from job.errors import Torn
from job.launch.queue import Waiting
from job.runs.listing import states
from job.runs.record import State
from job.settings import load
from job.text import moment


def run(arguments: list[str]) -> int:
    """Print a state a line, as JSON; `status` says in words how the run stands.

    Raises:
        Torn: a state is damaged; all that can be read have been printed.
    """
    damaged: list[Torn] = []
    for state in states(load(os.environ, arguments).settings):
        if (error := state.pop("damaged", None)) is not None:
            damaged.append(error)
            answer(json.dumps({**state, "status": str(error)}))
        else:
            answer(json.dumps({**state, "status": standing(state)}))
    if damaged:
        raise damaged[0]
    return 0


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
