"""`finetune models`: the versions of a model, what they score, and which of them is in use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from job.commands import COMMANDS
from job.commands.arguments import Arguments
from job.commands.printing import answer, table, when
from job.errors import InputMissing
from job.registry import champion as registry
from job.registry.champion import Champion, Move
from job.registry.versions import Entry, entries
from job.settings import load
from job.settings.metrics import headline
from job.store import layout, open_store


def run(arguments: list[str]) -> int:
    """Print the versions, the newest first: a table on a terminal, elsewhere an object of JSON a line.

    Raises:
        InputMissing: there is none.
        Torn: champion.json is damaged.
    """
    given = Arguments.of(arguments, COMMANDS["models"])
    settings = load(os.environ, given.settings, rules=("output",)).settings
    store = open_store(settings.output, single_writer=settings.store.single_writer)
    champion, _ = registry.read(store, settings.name)
    listed = entries(store, settings.name)
    if not listed:
        raise InputMissing(
            f"{store.uri}/{layout.versions(settings.name)}/: no version there",
            hint="check FINETUNE_OUTPUT and FINETUNE_NAME",
        )
    rows = [row(entry, champion) for entry in _newest_first(listed, champion)]
    if sys.stdout.isatty() and "--json" not in given.switches:
        answer(_table(rows, champion))
    else:
        answer("\n".join(json.dumps(value) for value in rows))
    return 0


def _newest_first(listed: Iterable[Entry], champion: Champion) -> list[Entry]:
    return sorted(
        listed, key=lambda e: (e.published(champion) or 0.0, e.version.name), reverse=True
    )


def row(entry: Entry, champion: Champion) -> dict[str, Any]:
    """What is said of a version."""
    name = entry.version.name
    verdict = _last_move(name, champion)
    return {
        "version": name,
        "run_id": entry.meta.get("run_id", entry.version.run_id),
        "roles": [role for role, held in _roles(champion).items() if name in held],
        "published": when(entry.published(champion)),
        "size": entry.size,
        "whole": not entry.damage,
        "damage": entry.damage,
        "scores": headline(entry.scores),
        "verdict": _verdict(verdict) if verdict else None,
    }


def _roles(champion: Champion) -> Mapping[str, list[str | None]]:
    return {
        "champion": [champion.version],
        "previous": [champion.previous],
        "best": [champion.best],
        "withdrawn": [*champion.withdrawn],
    }


def _last_move(name: str, champion: Champion) -> Move | None:
    """What was last decided of a version."""
    return next((m for m in reversed(champion.history) if m.version == name), None)


def _verdict(move: Move) -> dict[str, Any]:
    said = {"action": move.action, "reason": move.reason, "at": when(move.at)}
    return {**said, **{f"gate_{name}": value for name, value in move.verdict.items()}}


def _table(rows: Sequence[Mapping[str, Any]], champion: Champion) -> str:
    """The versions on a terminal, each with the first of its scores."""
    metrics = {next(iter(row["scores"]), "") for row in rows}
    score = metrics.pop() if len(metrics) == 1 else ""
    columns = ("version", "in use as", "published", score or "score", "MB", "verdict")
    return table(columns, [_cells(row, score, champion) for row in rows])


def _cells(row: Mapping[str, Any], metric: str, champion: Champion) -> tuple[str, ...]:
    """A row of the table.

    Args:
        metric: the name of the score, where the column says it.
    """
    scores: Mapping[str, float] = row["scores"]
    score = next(
        (f"{value:g}" if metric else f"{name} {value:g}" for name, value in scores.items()), ""
    )
    roles = [role for role in row["roles"] if role != "best" or "champion" not in row["roles"]]
    said = row["damage"] or str(_last_move(row["version"], champion) or "")
    size, day = f"{row['size'] / 1e6:.1f}", (row["published"] or "")[:10]
    return row["version"], ", ".join(roles), day, score, size, said
