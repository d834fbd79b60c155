"""The best spans of contexts, read from a model's logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from job.data.artifacts import ROW
from job.tasks.types import Floats, Ints, Scored
from job.tasks.windows import groups, opened


class Span(NamedTuple):
    """A candidate: the sum of its first token's start logit and its last token's end logit."""

    score: float
    first: int
    last: int
    """The last token, which is part of the span."""


@dataclass(frozen=True)
class SpanSearch:
    """How an answer is looked for."""

    n_best: int = 20
    """The candidates over which an answer's probability is computed."""
    most_tokens: int = 30
    """The most tokens an answer may have."""
    can_be_none: bool = False
    """Whether a question may have no answer, as in SQuAD 2.0."""
    threshold: float = 0.0
    """The question is left unanswered where no answer scores higher than the best span by more than this."""


@dataclass(frozen=True)
class WindowLogits:
    """What a model says of one window: the logits of its context's tokens, and where these are."""

    start: Floats
    end: Floats
    starts: Ints
    """In characters of the context, shape (tokens,)."""
    ends: Ints
    nothing: float
    """The score of no answer: the logits, added up, of the token that stands for it."""

    @classmethod
    def of(cls, logits: Any, starts: Ints, ends: Ints, nothing: int) -> WindowLogits:
        """A window with its logits, shape (tokens, 2); `nothing` is the token for no answer."""
        inside = starts >= 0
        start, end = logits[inside, 0], logits[inside, 1]
        return cls(start, end, starts[inside], ends[inside], float(logits[nothing].sum()))


def best_spans(window: WindowLogits, search: SpanSearch) -> list[Span]:
    """A window's spans with the highest scores, best first; of equal ones the one that begins first.

    Every span of at most `most_tokens` tokens is considered.
    """
    tokens = len(window.start)
    width = min(search.most_tokens, tokens)
    if not tokens:
        return []
    padded = np.concatenate([window.end, np.full(width - 1, -np.inf, np.float32)])
    scores = window.start[:, None] + np.lib.stride_tricks.sliding_window_view(padded, width)
    flat = scores.ravel()
    order = np.argsort(-flat, kind="stable")[: search.n_best]
    spans = [(float(flat[i]), *divmod(int(i), width)) for i in order]
    return [Span(score, first, first + more) for score, first, more in spans if score > -np.inf]


def answer_of(
    context: str, windows: Sequence[WindowLogits], search: SpanSearch
) -> tuple[str, float]:
    """The best answer over a context's windows, and its probability among the candidates.

    The empty text stands for no answer, whose score is the lowest that a window gives it (Devlin et
    al. 2018, section 4.3).
    """
    best: dict[tuple[int, int], float] = {}
    for window in windows:
        for score, first, last in best_spans(window, search):
            # a span that two windows share is one candidate
            place = (int(window.starts[first]), int(window.ends[last]))
            best[place] = max(score, best.get(place, -np.inf))
    ordered = sorted(best.items(), key=lambda item: -item[1])[: search.n_best]
    candidates = [(score, context[slice(*place)].strip()) for place, score in ordered]
    nothing = min(window.nothing for window in windows)
    leads = not candidates or nothing - candidates[0][0] > search.threshold
    chosen = candidates[0] if candidates else (nothing, "")
    if search.can_be_none:
        candidates.append((nothing, ""))
        chosen = (nothing, "") if leads else chosen
    scores = np.array([score for score, _ in candidates] or [nothing], np.float64)
    total = np.exp(scores - scores.max()).sum()
    return chosen[1], float(np.exp(chosen[0] - scores.max()) / total)


def answers_of(scored: Scored, search: SpanSearch) -> list[tuple[str, float]]:
    """The answer to each cleaned row's question, and its probability."""
    table, contexts = scored.table, scored.rows.table.column("context").to_pylist()
    nothing = table.column("nothing")
    parts = groups(table.column(ROW), len(contexts))
    return [
        answer_of(
            context,
            [
                WindowLogits.of(scored.outputs[n], w.starts, w.ends, int(nothing[n]))
                for n, w in zip(numbers.tolist(), opened(table, numbers), strict=True)
            ],
            search,
        )
        for numbers, context in zip(parts, contexts, strict=True)
    ]
