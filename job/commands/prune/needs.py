"""Versions, checkpoints and data sets that nobody needs.

Nothing here asks how old something is: clocks of several machines would decide what is lost. Which
versions are the newest the champion's history says, whose order is that of its writes.
"""

from __future__ import annotations

from job.commands.prune.findings import VERSION, Findings
from job.commands.prune.survey import Survey
from job.errors import Absent, Garbled, Torn
from job.registry.versions import Entry
from job.store import layout
from job.store.commit import load, verify


def find_versions(survey: Survey, keep: int, found: Findings, *, torn: bool) -> None:
    """Those that are not in use, that nothing which may go on needs, and that are not among the `keep`
    newest whole ones; those that are `torn`, where they are to go; those whose removal was interrupted."""
    for name in survey.champion.removed:
        if objects := survey.artifacts.get(layout.version(survey.model, name)):
            found.go(VERSION, name, "its removal was interrupted", objects)
    if _is_doubtful(survey, found):
        return
    gone, needed, kept = found.versions(), _needed(survey), 0
    newest = sorted(survey.versions.values(), key=lambda e: _first_judged(survey, e), reverse=True)
    for entry in newest:
        name = entry.version.name
        if name in gone or not survey.is_committed(entry.version.key):
            continue
        if entry.damage:
            _torn(survey, entry, found, goes=torn and name not in needed)
            continue
        kept += 1
        if kept > keep and name not in needed:
            why = f"not in use, and not among the newest (--keep {keep})"
            found.go(VERSION, name, why, survey.artifacts[entry.version.key])


def _torn(survey: Survey, entry: Entry, found: Findings, *, goes: bool) -> None:
    """A version that is not whole; where it is its manifest that cannot be read, it stays in any case."""
    name = entry.version.name
    if not entry.is_readable:
        found.damaged(VERSION, name, Torn(entry.damage))
    elif goes:
        found.go(VERSION, name, f"not whole: {entry.damage}", survey.artifacts[entry.version.key])
    else:
        found.stay(VERSION, name, f"not whole: {entry.damage}; --orphans removes what nobody needs")


def _is_doubtful(survey: Survey, found: Findings) -> bool:
    """Whether no version may go: nobody knows which are needed, or what is to stay is not whole."""
    if survey.champion.version is None:
        if survey.versions:
            why = "none is in use as far as the registry knows, so all stay; `finetune promote` names one"
            found.stay("versions", "all", why)
        return True
    if unclear := next((work for work in survey.open_works() if work.damage), None):
        found.stay("versions", "all", f"{unclear.name} may go on from any of them")
        return True
    for name in sorted(_in_use(survey)):
        try:
            verify(survey.store, layout.version(survey.model, name))
        except (Torn, Absent, Garbled) as error:
            why = f"{name} is in use, or a way back, and is not whole ({error.message}): all others stay"
            found.stay("versions", "all", why, error)
            return True
    return False


def _in_use(survey: Survey) -> set[str]:
    champion = survey.champion
    return {name for name in (champion.version, champion.previous, champion.best) if name}


def _needed(survey: Survey) -> set[str]:
    """Versions in use, and those that something which may go on has published or names."""
    works = survey.open_works()
    open_runs = {work.run_id for work in works}
    own = {name for name, entry in survey.versions.items() if entry.version.run_id in open_runs}
    return _in_use(survey) | own | {name for work in works for name in work.named}


def _first_judged(survey: Survey, entry: Entry) -> tuple[int, float, str]:
    """For an order by when it was judged. Those that never were come first, and these alone are ordered
    by the clocks of those who wrote them: earlier releases kept no history."""
    name = entry.version.name
    moves = (n for n, move in enumerate(survey.champion.history) if move.version == name)
    return next(moves, -1), entry.published(survey.champion) or 0.0, name


def find_checkpoints(survey: Survey, found: Findings) -> None:
    """Those of runs that have ended: they never go on. Only where the run's version is not whole they
    stay, since it can be made again from them."""
    for work in survey.works:
        if work.run_id is None or work.goes_on:
            continue
        prefix = layout.checkpoints(layout.run(survey.model, work.run_id))
        objects = [o for artifact in survey.below(prefix) for o in survey.artifacts[artifact]]
        published = [e for e in survey.versions.values() if e.version.run_id == work.run_id]
        if objects and published and all(entry.damage for entry in published):
            why = f"its version is not whole: {published[-1].damage}"
            found.stay("checkpoints", work.run_id, why)
        elif objects:
            found.go("checkpoints", work.run_id, "its run has ended", objects)


def find_datasets(survey: Survey, found: Findings) -> None:
    """Those that no version which stays was trained on, and that no run may still read. They are made
    again where they are wanted, as long as their sources exist."""
    runs = survey.open_runs()
    datasets = survey.below(layout.datasets(survey.model))
    if datasets and (unclear := next((run for run in runs if run.dataset is None), None)):
        why = f"{unclear.name} may go on, and does not say which it reads"
        found.stay("data sets", "all", why)
        return
    staying = [e for name, e in survey.versions.items() if name not in found.versions()]
    unread = (e for e in staying if not e.is_readable and survey.is_committed(e.version.key))
    if datasets and (entry := next(unread, None)):
        why = f"nobody can tell which one version {entry.version.name} was trained on"
        found.stay("data sets", "all", why)
        return
    used = {run.dataset for run in runs} | {_trained_on(survey, entry) for entry in staying}
    for artifact in datasets:
        name = artifact.rpartition("/")[2]
        if name in used or not survey.is_committed(artifact):
            continue
        try:
            load(survey.store, artifact)
        except (Torn, Absent) as error:
            found.damaged("data set", name, error)
            continue
        why = "nobody needs it, and it can be made again"
        found.go("data set", name, why, survey.artifacts[artifact])


def _trained_on(survey: Survey, entry: Entry) -> str:
    """The fingerprint of a version's data set; empty where neither its manifest nor its run says."""
    provenance = entry.meta.get("provenance")
    if isinstance(provenance, dict) and (dataset := provenance.get("dataset")):
        return str(dataset)
    run = survey.run(entry.version.run_id)
    return run.state.dataset if run is not None and run.state is not None else ""
