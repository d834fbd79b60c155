"""Answers as they stand in rows, in their contexts and among a window's tokens. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from job.tasks.values import Ints


class Answer(NamedTuple):
    """An answer as it stands in its context, from character `start`."""

    text: str
    start: int


def parsed(text: str | None) -> list[Answer] | None:
    """The answers in {"text": […], "answer_start": […]}, in characters; None if it is no such JSON."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    texts, starts = (
        (found.get("text"), found.get("answer_start")) if isinstance(found, Mapping) else (0, 0)
    )
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        return None
    if not all(type(text) is str for text in texts) or not all(type(at) is int for at in starts):
        return None
    return [Answer(*pair) for pair in zip(texts, starts, strict=True)]


def fault(answers: Sequence[Answer], context: str) -> str | None:
    """Why an answer is none: it is empty, or not in its context where it should be."""
    for text, start in answers:
        if not text.strip():
            return "an answer is empty"
        if start < 0 or context[start : start + len(text)] != text:
            return f"the answer {text[:40]!r} is not in its context at character {start}"
    return None


def tokens_of(answer: Answer | None, starts: Ints, ends: Ints) -> tuple[int, int] | None:
    """The first and the last token of an answer in a window; None if it is not wholly in it, or
    there is none.

    Args:
        answer: what is looked for.
        starts: where the window's tokens begin in the context; -1 for those of the question.
        ends: where they end.
    """
    if answer is None:
        return None
    begin = answer.start + len(answer.text) - len(answer.text.lstrip())
    end = begin + len(answer.text.strip())
    inside = np.flatnonzero(starts >= 0)
    if not len(inside) or starts[inside[0]] > begin or ends[inside[-1]] < end:
        return None
    touching = inside[(starts[inside] < end) & (ends[inside] > begin)]
    return (int(touching[0]), int(touching[-1])) if len(touching) else None


def empty_token(ids: Sequence[int] | Ints, cls_token_id: int | None) -> int:
    """The token that stands for no answer: the tokenizer's [CLS], or the first where it has none."""
    found = np.flatnonzero(np.asarray(ids) == (-1 if cls_token_id is None else cls_token_id))
    return int(found[0]) if len(found) else 0
