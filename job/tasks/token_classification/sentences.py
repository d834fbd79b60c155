"""Sentences as a model reads them: each token's probabilities from its windows, each word's tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from job.batching import Rows
from job.data.artifacts import ROW
from job.tasks.labels import listed
from job.tasks.token_classification.alignment import is_first, word_numbers
from job.tasks.token_classification.tags import OUTSIDE, read_tags, repaired
from job.tasks.types import Floats, Ints, Scored
from job.tasks.windows import groups, merged, opened


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text, special ones left out."""

    ids: Ints
    starts: Ints
    """In characters of the text, shape (tokens,)."""
    ends: Ints
    probabilities: Floats
    """Shape (tokens, labels)."""


@dataclass(frozen=True)
class Sentence:
    """A sentence and what the model made of it."""

    words: list[str]
    truth: list[str]
    """Tags, one per word."""
    guess: list[str]
    tokens: Tokens

    @property
    def text(self) -> str:
        """The words as the model sees them."""
        return " ".join(self.words)


def tokens_of(scored: Scored, numbers: Rows) -> Tokens:
    """A text's tokens with their probabilities, each from the window where it has most context.

    Args:
        scored: what the model made of all windows.
        numbers: of the text's windows.
    """
    windows = opened(scored.table, numbers)
    firsts = [window.first for window in windows]
    logits = [scored.outputs[number][w.inside] for number, w in zip(numbers, windows, strict=True)]
    whole = merged(firsts, logits)
    exponent = np.exp(whole - whole.max(axis=-1, keepdims=True)) if len(whole) else whole
    ids, starts, ends = (
        merged(firsts, [getattr(window, name)[window.inside] for window in windows])
        for name in ("input_ids", "starts", "ends")
    )
    return Tokens(ids, starts, ends, exponent / exponent.sum(axis=-1, keepdims=True))


def sentences_of(scored: Scored, labels: Sequence[str], scheme: str) -> Iterator[Sentence]:
    """Every cleaned row with its tags, true (repaired) and predicted.

    Args:
        scored: what the model made of all windows.
        labels: every tag, in order.
        scheme: of the tags.
    """
    # a word that no token stands for is not part of an entity
    missing = labels[0] if scheme == "none" else OUTSIDE
    rows = [scored.rows.table.column(role).to_pylist() for role in ("tokens", "tags")]
    windows = groups(scored.table.column(ROW), len(rows[0]))
    for numbers, tokens, tags in zip(windows, *rows, strict=True):
        words, read = listed(tokens) or [], tokens_of(scored, numbers)
        truth = repaired(read_tags(tags), scheme)
        yield Sentence(words, truth, _guessed(read, words, labels, missing), read)


def _guessed(
    tokens: Tokens, words: Sequence[str], labels: Sequence[str], missing: str
) -> list[str]:
    """Each word's likeliest tag, by its first token; `missing` where no token stands for it."""
    owner = word_numbers(tokens.starts, tokens.ends, words)
    first = is_first(owner)
    best = tokens.probabilities.argmax(axis=-1)
    tags = [missing] * len(words)
    for word, label in zip(owner[first].tolist(), best[first].tolist(), strict=True):
        tags[word] = labels[label]
    return tags
