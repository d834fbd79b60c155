"""`finetune config`: the effective settings with their origins, the schema, or the reference."""

from __future__ import annotations

import json
import os

from job.commands.printing import answer
from job.settings import Settings, load, show


def run(arguments: list[str]) -> int:
    """Print what the arguments ask for; settings that contradict each other are shown as they are."""
    if "--schema" in arguments:
        answer(json.dumps(Settings.model_json_schema(), indent=1))
    elif "--reference" in arguments:
        answer(show.reference())
    else:
        answer(show.effective(load(os.environ, arguments)))
    return 0
