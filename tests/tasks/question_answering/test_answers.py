"""Where answers stand among tokens, against the slow reference: every token that touches one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.tasks.question_answering.answers import Answer, misshapen, tokens_of
from tests.support.tokenizers import TEXT, tokenizers


@given(TEXT, st.integers(0, 1), st.data())
def test_an_answers_tokens_are_the_fewest_that_hold_it(text: str, which: int, data: Any) -> None:
    encoding = tokenizers()[which].backend_tokenizer.encode(text, add_special_tokens=False)
    offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2)
    begin = data.draw(st.integers(0, max(0, len(text) - 1)))
    answer = text[begin : begin + data.draw(st.integers(1, 8))]
    if not answer.strip():
        return
    found = tokens_of(Answer(answer, begin), *offsets.T)
    low = begin + len(answer) - len(answer.lstrip())
    high = low + len(answer.strip())
    touching = [i for i, (start, end) in enumerate(encoding.offsets) if start < high and end > low]
    covered = len(offsets) and offsets[0, 0] <= low and offsets[-1, 1] >= high
    assert found == ((touching[0], touching[-1]) if touching and covered else None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"text": ["1800"], "answer_start": [65.0]}', "the start 65.0 is not a whole number"),
        ('{"text": [1800], "answer_start": [65]}', "the text 1800 is not in quotes"),
        ('{"text": ["a", "b"], "answer_start": [1]}', "2 texts, 1 starts"),
        ('{"text": "a", "answer_start": 1}', '{"text": "a"'),
        ("nothing", ": nothing"),
        ("[" * 100_000, "[[["),
    ],
)
def test_what_is_wrong_with_answers_is_named(text: str, words: str) -> None:
    assert words in misshapen(text)
