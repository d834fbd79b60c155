"""`finetune status`: the state of a run, or of every run below the output."""

from __future__ import annotations

import json
import os

from job.commands.printing import answer
from job.runs.record import states
from job.settings import load


def run(arguments: list[str]) -> int:
    """Print a state a line, as JSON."""
    for state in states(load(os.environ, arguments).settings):
        answer(json.dumps(state))
    return 0
