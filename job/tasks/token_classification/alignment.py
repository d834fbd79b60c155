"""Which word each token belongs to: the labels of tokens from the tags of words. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from job.tasks.token_classification.tags import continued
from job.tasks.types import IGNORED, Ints
from job.tasks.windows import Window, merged


def word_bounds(words: Sequence[str]) -> tuple[Ints, Ints]:
    """Where words begin and end in the text that joins them by single spaces, each shape (words,)."""
    sizes = np.array([len(word) for word in words], np.int32)
    ends = (np.cumsum(sizes + 1) - 1).astype(np.int32)
    return ends - sizes, ends


def word_numbers(starts: Ints, ends: Ints, words: Sequence[str]) -> Ints:
    """The number of the word that each token belongs to, -1 for a token that is nothing but space.

    A token belongs to the first word that it has a character of.

    Args:
        starts: where tokens begin in the joined text, shape (tokens,).
        ends: where they end.
        words: the sentence.
    """
    begins, stops = word_bounds(words)
    number = np.searchsorted(stops, starts, side="right")
    known = np.minimum(number, len(words) - 1)
    touches = (number < len(words)) & (begins[known] < ends) & (starts < ends)
    return np.where(touches, number, -1).astype(np.int32)


def is_first(words: Ints) -> npt.NDArray[np.bool_]:
    """Which tokens are the first of their word, shape (tokens,)."""
    if not len(words):
        return np.zeros(0, np.bool_)
    seen = np.maximum.accumulate(np.concatenate([[-1], words]))[:-1]
    first: npt.NDArray[np.bool_] = words > seen
    return first


def token_labels(
    windows: Sequence[Window],
    words: Sequence[str],
    tags: Sequence[str],
    labels: Sequence[str],
    *,
    every_token: bool,
) -> Iterator[Ints]:
    """For each window of a sentence the label of each of its tokens, IGNORED where nothing is learned.

    Args:
        windows: of the words, joined by single spaces.
        words: the sentence.
        tags: one per word.
        labels: every tag, in order.
        every_token: label a word's later tokens as well as its first.
    """
    index = {label: i for i, label in enumerate(labels)}
    firsts = [window.first for window in windows]
    starts, ends = (
        merged(firsts, [getattr(w, name)[w.inside] for w in windows]) for name in ("starts", "ends")
    )
    owner = word_numbers(starts, ends, words)
    learned = np.array([index[tag] for tag in tags])[owner]
    continuing = np.array([index.get(continued(tag), index[tag]) for tag in tags])[owner]
    later = np.where((owner >= 0) & every_token, continuing, IGNORED)
    whole = np.where(is_first(owner), learned, later)
    for window in windows:
        part = np.full(len(window.input_ids), IGNORED, dtype=np.int32)
        part[window.inside] = whole[window.first :][: window.inside.sum()]
        yield part
