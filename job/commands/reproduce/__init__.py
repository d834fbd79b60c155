"""`finetune reproduce VERSION`: a version trained again from what its manifest names, and compared with it.

It is a run like any other, whose store is a folder on the scratch disk: in its place stand the inputs
as they were frozen, and the settings as they were recorded. In the output nothing is written.
"""

from __future__ import annotations

import json
import os

from job import supervisor, telemetry
from job.commands import COMMANDS
from job.commands.arguments import Arguments
from job.commands.printing import answer, complain
from job.commands.reproduce.original import Original
from job.commands.reproduce.report import Report, compared
from job.commands.reproduce.rerun import Rerun
from job.errors import NotReproduced, SettingsError, Stopped
from job.runtime.scratch import scratch_folder
from job.runtime.stop import polling
from job.settings import Settings, load
from job.store import open_store

COMMAND = COMMANDS["reproduce"]


def run(arguments: list[str]) -> int:
    """Train the version again and say whether the weights are the same.

    Raises:
        InputMissing: there is no such version, or an earlier release published it.
        NotReproduced: its weights are not the same.
    """
    supervisor.take_signals()
    given = Arguments.of(arguments, COMMAND)
    if not given.words:
        raise SettingsError(
            "reproduce needs the version that is to be trained again",
            hint=f"write {COMMAND.synopsis}; `finetune models` lists them, and `champion` is the one in use",
        )
    settings = load(os.environ, given.settings, rules=("output",)).settings
    telemetry.set_up(settings.log)
    with polling(_stop), scratch_folder(settings.runtime) as scratch:
        store = open_store(settings.output, single_writer=settings.store.single_writer)
        original = Original.find(store, settings.name, given.words[0])
        rerun = Rerun(original, settings, scratch)
        if code := _trained(rerun, original):
            return code
        report = compared(original, rerun.published(), scratch)
    return _told(report, settings, as_json="--json" in given.switches)


def _stop() -> None:
    if supervisor.signals():
        raise Stopped("stopped by a signal", hint="nothing is kept; started again, it trains anew")


def _trained(rerun: Rerun, original: Original) -> int:
    """The exit code of the run that trains the version again."""
    code, outcome = rerun.train()
    if code:
        said = outcome.get("message", f"its run ended with {code}")
        complain(f"finetune: {original.version.name} could not be trained again: {said}")
    return code


def _told(report: Report, settings: Settings, *, as_json: bool) -> int:
    """Print the report, and leave it in the termination message."""
    facts = report.facts()
    answer(json.dumps(facts, indent=1) if as_json else "\n".join(report.lines()))
    error = None if report.same else NotReproduced(report.summary)
    failure = {"error": type(error).__name__, "message": str(error)} if error else {}
    code = error.exit_code if error else 0
    supervisor.record_outcome(code, {**failure, "result": facts}, settings.runtime.termination_log)
    if error:
        raise error
    return code
