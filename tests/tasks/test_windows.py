"""Windows, alignment and spans against slow, obvious references."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from job.tasks import windows
from job.tasks.question_answering.answers import Answer, tokens_of
from job.tasks.question_answering.spans import SpanSearch, WindowLogits, answer_of, best_spans
from job.tasks.token_classification.alignment import is_first, word_numbers

WORD = st.text("abcé-. 字\u200b", max_size=6)
TEXT = st.text("abcé-. \n字\u200b", max_size=60)


@cache
def tokenizers() -> list[PreTrainedTokenizerFast]:
    """WordPiece with [CLS] and [SEP], and byte-level BPE, for which a space is part of a word."""
    special = ["[UNK]", "[CLS]", "[SEP]"]
    texts = ["ab abc a-b c.a é caé ba", "abcabc cab 字 a字b"] * 9
    piece, level = Tokenizer(models.WordPiece(unk_token="[UNK]")), Tokenizer(models.BPE())
    piece.normalizer = normalizers.BertNormalizer(strip_accents=False)
    piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for backend, trainer in (
        (piece, trainers.WordPieceTrainer(vocab_size=40, special_tokens=special)),
        (level, trainers.BpeTrainer(vocab_size=300, special_tokens=special,
                                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet())),
    ):  # fmt: skip
        backend.train_from_iterator(texts, trainer)
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
        )
    return [PreTrainedTokenizerFast(tokenizer_object=backend) for backend in (piece, level)]


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
    seen: set[int] = set()
    first = [not (word in seen or seen.add(word)) and word >= 0 for word in expected]  # type: ignore[func-returns-value]
    assert is_first(found).tolist() == first


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
