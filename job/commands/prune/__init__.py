"""`finetune prune`: remove what nobody needs; `--dry-run` shows first what would go.

Removed are versions that are neither in use nor a way back nor new, checkpoints of runs that have
ended, and data sets that no version which stays was trained on. What cannot be understood stays, and
so does whatever it may need.

Between the look at the store and the removal a run may begin, or a version be promoted. So the look is
repeated, and what both have seen goes. Versions are named in champion.json first, by compare-and-swap:
whoever promotes one replaces the same record, and has either come before, so that this is decided anew,
or finds there that the version is being removed. A run records its settings, what it reads and its data
set before it reads them, so that one which has begun is seen; one that begins after the second look
finds at once that a version which it names is gone (66), or makes its data set anew. Killed on the way,
the next prune goes on.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any

from job.commands import COMMANDS
from job.commands.arguments import Arguments
from job.commands.printing import answer, table
from job.commands.prune.findings import Findings, Removal
from job.commands.prune.leftovers import find_leftovers
from job.commands.prune.needs import find_checkpoints, find_datasets, find_versions
from job.commands.prune.survey import Survey, look, surveyed
from job.errors import SettingsError, StoreError
from job.registry import champion as registry
from job.registry.champion import Champion, removing
from job.settings import load
from job.store import Store, layout, open_store

COMMAND = COMMANDS["prune"]
KEEP = 5
"""Versions, by default."""


def run(arguments: list[str]) -> int:
    """Remove what nobody needs, or show it, and name what stays only because it is not clear.

    Raises:
        Torn: champion.json is damaged, and nothing was removed; or something else is, and stays.
        Forbidden, Unreachable: the store does not let its objects be listed, read or removed.
    """
    given = Arguments.of(arguments, COMMAND)
    keep, orphans = _number(given.options.get("--keep")), "--orphans" in given.switches
    settings = load(os.environ, given.settings, rules=("output",)).settings
    store = open_store(settings.output, single_writer=settings.store.single_writer)
    survey = surveyed(store, settings.name)
    found = findings(survey, keep, orphans=orphans)
    if "--dry-run" not in given.switches:
        found = remove(store, settings.name, found, keep, orphans=orphans)
        if orphans:
            _sweep(survey)
    as_json = "--json" in given.switches or not sys.stdout.isatty()
    _tell(found, dry="--dry-run" in given.switches, as_json=as_json)
    damaged = [doubt.error for doubt in found.doubts if doubt.error is not None]
    if damaged:
        raise damaged[0]
    return 0


def _number(text: str | None) -> int:
    """How many versions to keep."""
    if text is None:
        return KEEP
    if not text.isdecimal():
        raise SettingsError(f"--keep {text}: not a number", hint=f"write {COMMAND.synopsis}")
    return int(text)


def findings(survey: Survey, keep: int, *, orphans: bool) -> Findings:
    """What of a model may go, and what stays because that is not clear.

    Args:
        keep: how many of the newest whole versions stay in any case.
        orphans: also what was never finished, and files that no manifest names.
    """
    found = Findings()
    for work in survey.open_works():
        if work.damage is not None:
            found.damaged("record", work.name, work.damage)
    find_versions(survey, keep, found, torn=orphans)
    find_checkpoints(survey, found)
    find_datasets(survey, found)
    if orphans:
        find_leftovers(survey, found)
    return found


def remove(store: Store, model: str, shown: Findings, keep: int, *, orphans: bool) -> Findings:
    """Look again, and remove what both looks have found; what was removed, and what is doubted.

    Raises:
        Conflict: the champion was moved again and again meanwhile.
    """
    known, found = {(r.kind, r.name) for r in shown.removals}, Findings()

    def decide(champion: Champion) -> Champion:
        nonlocal found
        found = findings(look(store, model, champion), keep, orphans=orphans)
        interrupted = found.versions() & {*champion.removed}
        found.removals = [r for r in found.removals if (r.kind, r.name) in known]
        names = found.versions() | interrupted
        return champion if names == interrupted else removing(champion, names)

    if shown.versions():
        registry.move(store, model, decide)
    else:
        decide(registry.read(store, model)[0])
    for removal in found.removals:
        for keys in removal.keys:  # manifests first: what lacks some files is no artifact then
            store.delete(keys)
    return found


def _sweep(survey: Survey) -> None:
    """Abort the uploads that runs which have ended have left."""
    for work in survey.works:
        if work.run_id is not None and not work.goes_on:
            with suppress(StoreError):  # not every store lets them be listed
                survey.store.sweep(f"{layout.run(survey.model, work.run_id)}/", superseded=True)


def _tell(found: Findings, *, dry: bool, as_json: bool) -> None:
    for line in (_json if as_json else _text)(found, dry):
        answer(line)


def _json(found: Findings, dry: bool) -> list[str]:
    rows: list[dict[str, Any]] = [
        {"kind": r.kind, "name": r.name, "size": r.size, "removed": not dry, "why": r.why}
        for r in found.removals
    ]
    rows += [{"kind": d.kind, "name": d.name, "stays": True, "why": d.why} for d in found.doubts]
    return [json.dumps(row) for row in rows]


def _text(found: Findings, dry: bool) -> list[str]:
    lines = []
    if found.removals:
        rows = [(r.kind, r.name, _size(r), r.why) for r in found.removals]
        lines.append(table(("what", "name", "MB", "why"), rows))
    total = sum(r.size for r in found.removals) / 1e6
    verb = "would be removed" if dry else "removed"
    lines.append(f"{len(found.removals)} {verb}, {total:.1f} MB")
    return lines + [f"stays: {d.kind} {d.name}: {d.why}" for d in found.doubts]


def _size(removal: Removal) -> str:
    return f"{removal.size / 1e6:.1f}"
