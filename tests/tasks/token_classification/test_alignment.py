"""Which word a token belongs to, against the slow reference: the owner of every character."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from job.tasks.token_classification.alignment import is_first, word_numbers
from tests.support.tokenizers import tokenizers

WORD = st.text("abcé-. 字\u200b", max_size=6)


@given(st.lists(WORD, min_size=1, max_size=12), st.integers(0, 1))
def test_a_token_belongs_to_the_first_word_it_has_a_character_of(
    words: list[str], which: int
) -> None:
    text = " ".join(words)
    encoding = tokenizers()[which].backend_tokenizer.encode(text, add_special_tokens=False)
    owner_of: list[int | None] = []
    for number, word in enumerate(words):
        owner_of += [number] * len(word) + [None]
    expected = []
    for start, end in encoding.offsets:
        touched = [owner for owner in owner_of[start:end] if owner is not None]
        expected.append(touched[0] if touched else -1)
    starts, ends = np.array(encoding.offsets, np.int32).reshape(-1, 2).T
    found = word_numbers(starts, ends, words)
    assert found.tolist() == expected
    first = [word >= 0 and word not in expected[:at] for at, word in enumerate(expected)]
    assert is_first(found).tolist() == first
