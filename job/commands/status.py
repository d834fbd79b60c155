"""`finetune status`: the state of a run, or of every run below the output."""

from __future__ import annotations

import json
import os

from job.errors import Torn
from job.runs.record import states
from job.settings import load


def run(arguments: list[str]) -> int:
    """Print a state a line, as JSON; one that is damaged as its run's id and what is wrong.

    Raises:
        Torn: a state is damaged; all others have been printed.
    """
    found = states(load(os.environ, arguments).settings)
    for run_id, state in found:
        damaged = {"run_id": run_id, "error": str(state)}
        print(json.dumps(damaged if isinstance(state, Torn) else state))
    for _, state in found:
        if isinstance(state, Torn):
            raise state
    return 0
