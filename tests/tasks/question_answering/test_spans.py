"""The best spans, against a list of all spans."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from job.tasks.question_answering.spans import SpanSearch, WindowLogits, answer_of, best_spans

NUMBERS = st.integers(-8, 8).map(lambda n: n / 4)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12), st.integers(1, 20), st.integers(1, 5))
def test_the_best_spans_are_those_of_all_spans(
    logits: list[tuple[float, float]], count: int, most: int
) -> None:
    start, end = np.array(logits, np.float32).reshape(-1, 2).T
    every = [
        (float(start[first] + end[last]), first, last)
        for first in range(len(logits))
        for last in range(first, min(len(logits), first + most))
    ]
    every.sort(key=lambda span: -span[0])
    at = np.zeros(len(logits), np.int32)
    search = SpanSearch(n_best=count, most_tokens=most)
    found = best_spans(WindowLogits(start, end, at, at, 0.0), search)
    assert [tuple(span) for span in found] == every[:count]


@given(st.data(), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=12), st.booleans())
def test_an_answer_is_the_best_over_all_windows(
    data: Any, logits: list[tuple[float, float]], can_be_none: bool
) -> None:
    """Tokens are the characters of the context; windows are cut anywhere."""
    context = "abcdefghijkl"[: len(logits)]
    cut = data.draw(st.integers(1, len(logits) - 1))
    values, parts = np.array(logits, np.float32), []
    every: dict[tuple[int, int], float] = {}
    for low, high in ((0, cut), (max(0, cut - 1), len(logits))):
        at = np.concatenate([[-1], np.arange(low, high)]).astype(np.int32)
        nothing = data.draw(st.tuples(NUMBERS, NUMBERS))
        rows = np.concatenate([np.array([nothing], np.float32), values[low:high]])
        parts.append(WindowLogits.of(rows, at, np.where(at < 0, -1, at + 1), 0))
        every |= {
            (i, j): logits[i][0] + logits[j][1]
            for i in range(low, high)
            for j in range(i, min(high, i + 3))
        }
    search = SpanSearch(n_best=1000, most_tokens=3, can_be_none=can_be_none, threshold=0.5)
    text, probability = answer_of(context, parts, search)
    best, nothing_best = max(every.values()), min(part.nothing for part in parts)
    scores = [*every.values(), *([nothing_best] if can_be_none else [])]
    if can_be_none and nothing_best - best > 0.5:
        assert text == ""
        best = nothing_best
    else:
        assert text in [context[i : j + 1] for (i, j), score in every.items() if score == best]
    assert np.isclose(probability, np.exp(best) / np.exp(scores).sum())
