"""Parts of held-out rows that are scored by themselves: by label, by length, by a column's value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from job.data.arrow import MappedTable
from job.data.artifacts import ROW, SLICE
from job.settings import Evaluate
from job.settings.metrics import plain
from job.tasks.base import Task
from job.tasks.lengths import bits_of, length_range, word_counts
from job.tasks.scorers import Scorer, whole
from job.tasks.types import Scored

Numbers = npt.NDArray[np.int64]

MOST_VALUES = 50
"""Of a label or a column that are slices of their own, those with the most rows."""
OTHER, NONE = "(other)", "(none)"
"""The slices of all other values, and of rows that have none."""


def slices(
    names: Sequence[str], rows: MappedTable, task: Task, named: Collection[str] = ()
) -> dict[str, Numbers]:
    """The numbers of the rows of each slice, by its name: `label=spam`, `length=64-127`, `channel=sms`.

    A row with several labels is in several slices. Lengths are those of profile.json: words of the
    first text, in ranges that double.

    Args:
        names: what to slice by: `label`, `length`, or columns, which `rows` have as SLICE columns or
            else, as those of an earlier night may lack one, have no parts by.
        rows: cleaned, by role.
        task: whose labels they are.
        named: slices that are given apart, however few rows they have.
    """
    found: dict[str, Numbers] = {}
    for name in dict.fromkeys(names):
        apart = {part.removeprefix(f"{name}=") for part in named if part.startswith(f"{name}=")}
        members: dict[str, list[int]] = {}
        for row, values in enumerate(_bounded(_values(name, rows, task), apart)):
            for value in values:
                members.setdefault(value, []).append(row)
        for value in _sorted(name, members):
            found[f"{name}={value}"] = np.array(members[value], np.int64)
    return found


def slice_scores(scored: Scored, task: Task, settings: Evaluate) -> dict[str, dict[str, float]]:
    """For each slice that the settings ask for its `samples`, and its score by the metric that selects
    checkpoints, or by the task's own where that says nothing of single rows.

    A slice that has nothing to score, as the F1 of a class in rows without that class, is left out; so
    are all where rows are packed, since blocks belong to no row.
    """
    if not settings.slices or ROW not in scored.table.names:
        return {}
    metric, scorer = scorer_of(scored, task, settings)
    if scorer is None:
        return {}
    found: dict[str, dict[str, float]] = {}
    for name, rows in slices(settings.slices, scored.rows, task).items():
        score = whole(scorer.take(rows))
        if not math.isnan(score):
            found[name] = {metric: score, "samples": len(rows)}
    return found


def scorer_of(scored: Scored, task: Task, settings: Evaluate) -> tuple[str, Scorer | None]:
    """The first of the settings' metric and the task's own that says something of single rows."""
    metric = plain(settings.metric or task.default_metric)
    scorer = task.scorer(scored, metric)
    if scorer is None and metric != task.default_metric:
        return task.default_metric, task.scorer(scored, task.default_metric)
    return metric, scorer


def _values(name: str, rows: MappedTable, task: Task) -> list[list[str]]:
    """The values that each row has."""
    if name == "length":
        texts = rows.table.column(task.text_roles[0]).to_pylist()
        return [[length_range(bits)] for bits in bits_of(word_counts(texts)).tolist()]
    if name == "label":
        columns = {role: rows.table.column(role).to_pylist() for role in task.columns}
        return [sorted(set(labels)) or [NONE] for labels in task.labels_of(columns)]
    if SLICE + name not in rows.names:
        return []
    values = rows.table.column(SLICE + name).to_pylist()
    return [[NONE if value is None else value] for value in values]


def _bounded(values: list[list[str]], apart: Collection[str]) -> list[list[str]]:
    """The values, with OTHER for all but those with the most rows, and those to be given apart."""
    counts = Counter(value for every in values for value in every)
    most = sorted(counts, key=lambda value: (-counts[value], value))[:MOST_VALUES]
    kept = {*most, *apart}
    return [sorted({v if v in kept else OTHER for v in every}) for every in values]


def _sorted(name: str, values: Collection[str]) -> list[str]:
    """Ranges by their numbers, everything else by name; OTHER and NONE last."""
    if name == "length":
        return sorted(values, key=lambda value: int(value.partition("-")[0]))
    return sorted(values, key=lambda value: (value in (OTHER, NONE), value))
