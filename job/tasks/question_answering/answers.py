"""Answers as rows give them, in their contexts and among a window's tokens. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from job.tasks.json_text import json_value
from job.tasks.types import Ints


class Answer(NamedTuple):
    """An answer as its context has it, from character `start`."""

    text: str
    start: int


def parsed(text: str | None) -> list[Answer] | None:
    """The answers in {"text": […], "answer_start": […]}, in characters; None if the text is not such JSON."""
    try:
        answers = json_value(text or "")
    except ValueError:
        return None
    texts, starts = (
        (answers.get("text"), answers.get("answer_start"))
        if isinstance(answers, Mapping)
        else (0, 0)
    )
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        return None
    if not all(type(text) is str for text in texts) or not all(type(at) is int for at in starts):
        return None
    return [Answer(*pair) for pair in zip(texts, starts, strict=True)]


def misshapen(text: str) -> str:
    """What keeps a text from being answers, where `parsed` says that it is none."""
    wanted = 'answers are not {"text": […], "answer_start": […]}'
    try:
        answers = json_value(text)
        texts, starts = answers["text"], answers["answer_start"]
    except (ValueError, KeyError, TypeError):
        return f"{wanted}: {text[:40]}"
    if not isinstance(texts, list) or not isinstance(starts, list):
        return f"{wanted}: {text[:40]}"
    if len(texts) != len(starts):
        return f"{wanted}: {len(texts)} texts, {len(starts)} starts"
    for answer in texts:
        if type(answer) is not str:
            return f"{wanted}: the text {str(answer)[:40]} is not in quotes"
    wrong = next((start for start in starts if type(start) is not int), None)
    return f"{wanted}: the start {str(wrong)[:40]} is not a whole number"


def fault(answers: Sequence[Answer], context: str) -> str | None:
    """What is wrong with the answers: one is empty, or not where it should be in its context."""
    for text, start in answers:
        if not text.strip():
            return "an answer is empty"
        if start < 0 or context[start : start + len(text)] != text:
            return f"the answer {text[:40]!r} is not in its context at character {start}"
    return None


def tokens_of(answer: Answer | None, starts: Ints, ends: Ints) -> tuple[int, int] | None:
    """The first and the last token of an answer in a window; None if the window does not hold all
    of it, or there is no answer.

    Args:
        answer: the one to find.
        starts: where the window's tokens begin in the context; -1 for the question's.
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
    places = np.flatnonzero(np.asarray(ids) == (-1 if cls_token_id is None else cls_token_id))
    return int(places[0]) if len(places) else 0
