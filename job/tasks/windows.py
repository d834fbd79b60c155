"""Long texts as overlapping windows of tokens, and a model's outputs for windows merged again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.data.arrow import list_column
from job.errors import SettingsError
from job.tasks.special_tokens import SpecialTokens, backend_of
from job.tasks.types import Ints

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from job.data.arrow import MappedTable

Values = npt.NDArray[Any]

MOST_SHARED = 128
"""The most tokens that two windows share, unless the settings say otherwise (Devlin et al. 2018 on SQuAD)."""


@dataclass(frozen=True)
class Window:
    """A part of a text as a model's input, including special tokens and any question before it."""

    input_ids: Ints
    token_type_ids: Ints
    starts: Ints
    """Where each token begins in the text, in characters; -1 for a token that is not part of the text."""
    ends: Ints
    first: int
    """The number, within the whole text, of the first of the text's tokens in this window."""

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Which tokens are part of the text, shape (tokens,)."""
        inside: npt.NDArray[np.bool_] = self.starts >= 0
        return inside


def stride_of(
    tokenizer: PreTrainedTokenizerFast, max_length: int, wanted: int | None, *, pair: bool = False
) -> int:
    """How many tokens neighbouring windows share: the setting, or a quarter of a window.

    Raises:
        SettingsError: windows would have no room for text, or share half of it or more.
    """
    room = max_length - int(tokenizer.num_special_tokens_to_add(pair))
    if room < 1 + pair:
        raise SettingsError(
            f"FINETUNE_ENCODE__MAX_LENGTH={max_length} leaves no room for text beside the special tokens",
            hint="raise it",
        )
    stride = min(MOST_SHARED, room // 4) if wanted is None else wanted
    if stride and 2 * stride >= room:
        raise SettingsError(
            f"FINETUNE_ENCODE__STRIDE={stride} is half or more of a window's {room} tokens",
            hint=f"set it below {room / 2:g}, or raise FINETUNE_ENCODE__MAX_LENGTH",
        )
    return stride


def windows_of(
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    max_length: int,
    stride: int,
    *,
    questions: Sequence[str] | None = None,
) -> list[list[Window]]:
    """Each text as one or more windows; every token is in at least one of them, none is cut off.

    Args:
        tokenizer: its own template adds the special tokens.
        texts: to be cut into windows.
        max_length: the most tokens a window may have, special ones included.
        stride: tokens that neighbouring windows share.
        questions: put, whole, before each window of their texts.
    """
    backend, readable = backend_of(tokenizer), SpecialTokens(tokenizer).readable
    strategy = "longest_first" if questions is None else "only_second"
    backend.no_padding()
    backend.enable_truncation(max_length, stride=stride, strategy=strategy)
    try:
        encodings = backend.encode_batch(
            readable(texts)
            if questions is None
            else list(zip(readable(questions), readable(texts), strict=True))
        )
    finally:
        backend.no_truncation()  # a tokenizer is saved with what is set
    sequence = 0 if questions is None else 1
    return [list(_windows(encoding, sequence, stride)) for encoding in encodings]


def _windows(encoding: Any, sequence: int, stride: int) -> Iterator[Window]:
    first = 0
    for part in (encoding, *encoding.overflowing):
        inside = np.array([number == sequence for number in part.sequence_ids], bool)
        offsets = np.array(part.offsets, np.int32).reshape(-1, 2)
        yield Window(
            np.array(part.ids, np.int32),
            np.array(part.type_ids, np.int32),
            np.where(inside, offsets[:, 0], -1).astype(np.int32),
            np.where(inside, offsets[:, 1], -1).astype(np.int32),
            first,
        )
        first += int(inside.sum()) - stride


def columns_of(
    windows: Sequence[Window], tokenizer: PreTrainedTokenizerFast
) -> dict[str, pa.Array]:
    """input_ids, token_type_ids where the model reads them, starts, ends, first and length."""
    columns = {"input_ids": lists([w.input_ids for w in windows])}
    if "token_type_ids" in tokenizer.model_input_names:
        types = lists([w.token_type_ids for w in windows])
        columns["token_type_ids"] = types.cast(pa.list_(pa.int8()))
    columns["starts"] = lists([w.starts for w in windows])
    columns["ends"] = lists([w.ends for w in windows])
    columns["first"] = pa.array([w.first for w in windows], pa.int32())
    columns["length"] = pa.array([len(w.input_ids) for w in windows], pa.int32())
    return columns


def lists(values: Sequence[Values]) -> pa.ListArray:
    """One or more arrays of one type as a list column."""
    return list_column(np.concatenate(values), [len(value) for value in values])


def groups(source: npt.NDArray[Any], rows: int) -> list[npt.NDArray[np.int64]]:
    """The numbers of the windows of each of `rows` rows, in order."""
    order = np.argsort(source, kind="stable").astype(np.int64)
    bounds = np.searchsorted(source[order], np.arange(rows + 1))
    return [order[start:end] for start, end in pairwise(bounds.tolist())]


def opened(table: MappedTable, rows: npt.NDArray[np.int64]) -> list[Window]:
    """Encoded windows, read back."""
    ids, starts, ends = (
        [np.asarray(values, np.int32) for values in table.lists(name, rows)]
        for name in ("input_ids", "starts", "ends")
    )
    firsts = table.column("first")[rows].tolist()
    parts = zip(ids, starts, ends, firsts, strict=True)
    return [Window(i, np.zeros_like(i), s, e, f) for i, s, e, f in parts]


def owners(firsts: Sequence[int], sizes: Sequence[int]) -> Ints:
    """The window in which each token of a text has most context, shape (tokens,).

    Context is the number of tokens to its left or to its right in the window, whichever is smaller
    (Devlin et al. 2018, run_squad.py); of several windows with equal context the first wins.

    Args:
        firsts: the number of each window's first token.
        sizes: how many of the text's tokens are in each window.
    """
    total = max(first + size for first, size in zip(firsts, sizes, strict=True))
    best = np.full(total, -1, np.int32)
    owner = np.full(total, -1, np.int32)
    for number, (first, size) in enumerate(zip(firsts, sizes, strict=True)):
        left = np.arange(size, dtype=np.int32)
        context = np.minimum(left, left[::-1])
        part = slice(first, first + size)
        better = context > best[part]
        best[part][better] = context[better]
        owner[part][better] = number
    return owner


def merged(firsts: Sequence[int], parts: Sequence[Values]) -> Values:
    """The windows' values for each token of their text, taken where the token has most context.

    Args:
        firsts: the number of each window's first token.
        parts: an array per window, shape (the text's tokens in it, …).
    """
    owner = owners(firsts, [len(part) for part in parts])
    whole = np.empty((len(owner), *parts[0].shape[1:]), parts[0].dtype)
    for number, (first, part) in enumerate(zip(firsts, parts, strict=True)):
        span = slice(first, first + len(part))
        owned = owner[span] == number
        whole[span][owned] = part[owned]
    return whole
