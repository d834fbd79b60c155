"""What was never finished, and files that no manifest names.

A run that may go on keeps all that may be its own: its versions, its parts of the gate, its data set.
Only keys that were listed are removed, and whoever begins after that writes under others: a data
set's writer under a number of its own, a version's under its attempt's. Evaluations, predictions and
tokenizers leave no record of who is at work on them, so what of them is unfinished stays.
"""

from __future__ import annotations

from job.commands.prune.findings import Findings
from job.commands.prune.survey import Survey
from job.errors import Absent, Torn
from job.registry.versions import Version
from job.store import layout
from job.store.commit import MANIFEST, load
from job.store.keys import below


def find_leftovers(survey: Survey, found: Findings) -> None:
    """Of versions, of the gate and of data sets."""
    for name, entry in survey.versions.items():
        torn = entry.damage and survey.is_committed(entry.version.key)
        if not torn and name not in found.versions() and not _goes_on(survey, name):
            _unnamed(survey, entry.version.key, found)
    _of_gate(survey, found)
    reading = {run.dataset for run in survey.open_runs()}
    going = {removal.name for removal in found.removals if removal.kind == "data set"}
    for artifact in survey.below(layout.datasets(survey.model)):
        if None not in reading and artifact.rpartition("/")[2] not in reading | going:
            _unnamed(survey, artifact, found)


def _of_gate(survey: Survey, found: Findings) -> None:
    named = {name for work in survey.open_works() for name in work.named}
    for artifact in survey.below(layout.gates(survey.model)):
        name = artifact.rpartition("/")[2]
        if name in survey.champion.gate:
            _unnamed(survey, artifact, found)
        elif not _goes_on(survey, name) and name not in named:
            why = "the champion's record does not list it, and its run has ended"
            found.go("gate part", name, why, survey.artifacts[artifact])


def _goes_on(survey: Survey, version: str) -> bool:
    """Whether the run that a version, or a part of the gate, is named after may go on."""
    run = survey.run(Version.named(survey.model, version).run_id)
    return run is not None and run.goes_on


def _unnamed(survey: Survey, artifact: str, found: Findings) -> None:
    """What of an artifact's files its manifest does not name; all of them where it has none."""
    objects, name = survey.artifacts[artifact], artifact.removeprefix(f"{survey.model}/")
    if not survey.is_committed(artifact):
        found.go("leftover", name, "it was never finished", objects)
        return
    try:
        files = load(survey.store, artifact).files.values()
    except (Torn, Absent) as error:
        found.damaged("artifact", artifact.rpartition("/")[2], error)
        return
    named = {below(artifact, key) for key in (MANIFEST, *(file.key for file in files))}
    if unnamed := [item for item in objects if item.key not in named]:
        found.go("leftover", name, "files that its manifest does not name", unnamed)
