"""Answers as spans of a context: where they stand among tokens, and the best ones. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from job.tasks.values import Floats, Ints


class Answer(NamedTuple):
    """An answer as it stands in its context, from character `start`."""

    text: str
    start: int


class Span(NamedTuple):
    """A candidate: the sum of its first token's start logit and its last token's end logit."""

    score: float
    first: int
    last: int
    """The last token, which is part of it."""


@dataclass(frozen=True)
class Reading:
    """How answers are read from logits."""

    n_best: int = 20
    """Candidates among which the answer's probability is made."""
    most_tokens: int = 30
    """Tokens that an answer may have."""
    can_be_none: bool = False
    """Whether a question may have no answer, as in SQuAD 2.0."""
    threshold: float = 0.0
    """No answer is given where its score leads the best span's by more than this."""


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


def best_spans(start: Floats, end: Floats, *, count: int, most_tokens: int) -> list[Span]:
    """The spans of a text with the highest scores, best first; of equals the one that begins first.

    Every span of at most `most_tokens` tokens is looked at.

    Args:
        start: the logit of each token to be the answer's first, shape (tokens,).
        end: the logit of each token to be its last, shape (tokens,).
        count: spans that are wanted.
        most_tokens: tokens a span may have.
    """
    tokens = len(start)
    width = min(most_tokens, tokens)
    if not tokens:
        return []
    padded = np.concatenate([end, np.full(width - 1, -np.inf, np.float32)])
    scores = start[:, None] + np.lib.stride_tricks.sliding_window_view(padded, width)
    flat = scores.ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    found = [(float(flat[i]), *divmod(int(i), width)) for i in order]
    return [Span(score, first, first + more) for score, first, more in found if score > -np.inf]


@dataclass(frozen=True)
class Read:
    """What a model says of one window: logits of its context's tokens, and where these stand."""

    start: Floats
    end: Floats
    starts: Ints
    """In characters of the context, shape (tokens,)."""
    ends: Ints
    nothing: float
    """The score of no answer: the logits of the token that stands for it."""

    @classmethod
    def of(cls, logits: Any, starts: Ints, ends: Ints, nothing: int) -> Read:
        """A window with its logits, shape (tokens, 2); `nothing` is the token for no answer."""
        inside = starts >= 0
        start, end = logits[inside, 0], logits[inside, 1]
        return cls(start, end, starts[inside], ends[inside], float(logits[nothing].sum()))


def answer_of(context: str, windows: Sequence[Read], how: Reading) -> tuple[str, float]:
    """The best answer over a context's windows, and its probability among the candidates.

    The empty text stands for no answer, whose score is the lowest that a window gives it (Devlin et
    al. 2018, section 4.3).
    """
    best: dict[tuple[int, int], float] = {}
    for window in windows:
        for score, first, last in best_spans(
            window.start, window.end, count=how.n_best, most_tokens=how.most_tokens
        ):
            # a span that two windows share is one candidate
            place = (int(window.starts[first]), int(window.ends[last]))
            best[place] = max(score, best.get(place, -np.inf))
    ordered = sorted(best.items(), key=lambda item: -item[1])[: how.n_best]
    candidates = [(score, context[slice(*place)].strip()) for place, score in ordered]
    nothing = min(window.nothing for window in windows)
    leads = not candidates or nothing - candidates[0][0] > how.threshold
    chosen = candidates[0] if candidates else (nothing, "")
    if how.can_be_none:
        candidates.append((nothing, ""))
        chosen = (nothing, "") if leads else chosen
    scores = np.array([score for score, _ in candidates] or [nothing], np.float64)
    total = np.exp(scores - scores.max()).sum()
    return chosen[1], float(np.exp(chosen[0] - scores.max()) / total)


def empty_token(ids: Sequence[int] | Ints, cls_token_id: int | None) -> int:
    """The token that stands for no answer: the tokenizer's [CLS], or the first where it has none."""
    found = np.flatnonzero(np.asarray(ids) == (-1 if cls_token_id is None else cls_token_id))
    return int(found[0]) if len(found) else 0
