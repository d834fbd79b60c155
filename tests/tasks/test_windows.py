"""Windows against slow, obvious references."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from job.tasks import windows
from tests.support.tokenizers import TEXT, tokenizers


@settings(deadline=None)
@given(TEXT, st.integers(0, 1), st.integers(8, 20), st.integers(0, 2), st.booleans())
def test_windows_hold_every_token_and_merge_to_the_whole(
    text: str, which: int, max_length: int, stride: int, asks: bool
) -> None:
    tokenizer = tokenizers()[which]
    questions = ["ab"] if asks and max_length > 10 else None
    (parts,) = windows.windows_of(tokenizer, [text], max_length, stride, questions=questions)
    whole = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    assert all(len(part.input_ids) <= max_length for part in parts)
    for before, after in pairwise(parts):
        assert after.first == before.first + int(before.inside.sum()) - stride
    firsts = [part.first for part in parts]
    for name, values in (
        ("input_ids", whole.ids),
        ("starts", [start for start, _ in whole.offsets]),
        ("ends", [end for _, end in whole.offsets]),
    ):
        inside = [getattr(part, name)[part.inside] for part in parts]
        assert windows.merged(firsts, inside).tolist() == values


@given(st.data(), st.integers(1, 9), st.integers(1, 30))
def test_a_tokens_window_is_the_one_with_most_context(data: Any, size: int, total: int) -> None:
    stride = data.draw(st.integers(0, size - 1))
    firsts, sizes = [0], [min(size, total)]
    while firsts[-1] + sizes[-1] < total:
        firsts.append(firsts[-1] + size - stride)
        sizes.append(min(size, total - firsts[-1]))
    found = windows.owners(firsts, sizes)
    assert len(found) == total
    for token in range(total):
        contexts = {
            number: min(token - first, first + length - 1 - token)
            for number, (first, length) in enumerate(zip(firsts, sizes, strict=True))
            if first <= token < first + length
        }
        assert found[token] == max(contexts, key=lambda number: contexts[number])
    values = [np.stack([np.full(n, i), np.arange(n)], -1) for i, n in enumerate(sizes)]
    for token, (number, place) in enumerate(windows.merged(firsts, values).tolist()):
        assert (number, firsts[number] + place) == (found[token], token)
