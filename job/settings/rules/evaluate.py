"""Mistakes in EVALUATE: a metric that the task does not have, and parts that its rows do not have."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from job.settings import metrics
from job.settings.tree import Settings


def metric(settings: Settings) -> Iterator[str]:
    """A metric that the task does not have, which would end the run at its first evaluation, perhaps
    hours later."""
    given = settings.evaluate.metric
    if not given:
        return
    name, (kind, where) = metrics.plain(given), _kind(settings)
    known = metrics.names(settings.task, kind)
    if not metrics.is_among(name, known):
        near = get_close_matches(name, known, n=1)
        guess = f" (did you mean {near[0]}?)" if near else ""
        yield (
            f"FINETUNE_EVALUATE__METRIC={given} is not a metric of {settings.task}{where}{guess}; "
            f"use one of {', '.join(known)}"
        )


def slices(settings: Settings) -> Iterator[str]:
    """Parts by something that the task's rows do not have."""
    parts = {name: f"FINETUNE_EVALUATE__SLICES names {name!r}" for name in settings.evaluate.slices}
    for floor in settings.publish.floors:
        parts.setdefault(floor.partition("=")[0], f"FINETUNE_PUBLISH__FLOORS names {floor!r}")
    kind = _kind(settings)[0] or settings.task
    for name, named in parts.items():
        if kind in _PACKED:
            yield f"{named}, but {settings.task} scores blocks of joined rows, which have no parts; unset it"
        elif name == "label" and kind in _UNLABELLED:
            yield f"{named}, but rows of {kind} have no labels; use length, or a column"


_PACKED = ("fill-mask", "text")
"""Tasks, or kinds of them, whose rows are joined into blocks."""
_UNLABELLED = ("regression", "prompts", "summarization", "translation")
"""Tasks, or kinds of them, whose rows have no labels."""


def _kind(settings: Settings) -> tuple[str | None, str]:
    """The kind in `metrics.METRICS` and the words for it; None where only the data will say."""
    problem, data = settings.model.problem_type, settings.data
    if settings.task == "text-classification" and problem != "auto":
        return problem, f" with FINETUNE_MODEL__PROBLEM_TYPE={problem}"
    if settings.task == "token-classification":
        if data.tag_scheme == "none":
            return "tags", " with FINETUNE_DATA__TAG_SCHEME=none"
        return "entities", ""
    if settings.task == "text-generation":
        asked = data.columns.prompt or data.columns.messages
        return ("prompts", "") if asked else ("text", " on plain text")
    return None, ""
