"""Special tokens that stand in users' texts (`</s>`, `[MASK]`): text, unless a setting says otherwise.

A tokenizer obeys them by default, wherever they come from: `</s>` in a text ends it. Which of the two
a tokenizer does is its own `split_special_tokens`; `read_as_text` sets it, and everything here and in
`tokens` goes by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SETTING = "FINETUNE_ENCODE__OBEY_SPECIAL_TOKENS"


def read_as_text(
    tokenizer: PreTrainedTokenizerFast, *, as_text: bool = True, saved: bool = True
) -> None:
    """Make a tokenizer take special tokens in texts as text, or obey them.

    Args:
        saved: whether it is saved so. Not where those who use the model write special tokens
            themselves: masks, or what a chat template gives.
    """
    tokenizer.split_special_tokens = as_text
    if saved:
        tokenizer.init_kwargs["split_special_tokens"] = as_text
    else:
        tokenizer.init_kwargs.pop("split_special_tokens", None)


@contextmanager
def obeyed(tokenizer: PreTrainedTokenizerFast) -> Iterator[None]:
    """Special tokens are obeyed: the text is not a user's, or what is the user's in it is marked."""
    before = tokenizer.split_special_tokens
    tokenizer.split_special_tokens = False
    try:
        yield
    finally:
        tokenizer.split_special_tokens = before


def backend_of(tokenizer: PreTrainedTokenizerFast) -> Any:
    """The tokenizer without transformers around it, which takes special tokens as the tokenizer does."""
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


class SpecialTokens:
    """A tokenizer's special tokens as users' texts may hold them."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, but: Collection[str] = ()) -> None:
        """
        Args:
            but: those that are meant as such.
        """
        self._tokenizer = tokenizer
        added = tokenizer.backend_tokenizer.get_added_tokens_decoder().items()
        self._ids = {token.content: id_ for id_, token in added if token.special}
        self._pattern = _any_of(self._ids.keys() - set(but))

    def first_in(self, text: str | None) -> str | None:
        """The first special token in a text."""
        match = self._pattern.search(text or "")
        return match[0] if match else None

    def readable(self, texts: Sequence[str]) -> list[str]:
        """Texts in which every special token can be read as text, each as long as before.

        Models whose own vocabulary holds a special token (T5's `</s>`) find it in any text: its letters
        change their case, and nothing else is changed.
        """
        return [self._readable(text) for text in texts]

    def _readable(self, text: str) -> str:
        whole = self._indivisible
        return text if whole is None else whole.sub(lambda match: _changed(match[0]), text)

    @cached_property
    def _indivisible(self) -> re.Pattern[str] | None:
        """The special tokens that stay whole however they are read; None where there is none."""
        if not self._tokenizer.split_special_tokens:
            return None
        backend = backend_of(self._tokenizer)
        names = [name for name in self._ids if self._pattern.search(name)]
        encodings = backend.encode_batch_fast(names, add_special_tokens=False)
        pairs = zip(names, encodings, strict=True)
        whole = [name for name, encoding in pairs if self._ids[name] in encoding.ids]
        return _any_of(whole) if whole else None

    def marked(self, value: Any) -> Any:
        """A user's JSON value with every special token in its texts marked as being text."""
        if not self._tokenizer.split_special_tokens:
            return value
        return _each_text(value, lambda text: self._mark(self._readable(text)))

    def _mark(self, text: str) -> str:
        return self._pattern.sub(rf"{BEGIN}\g<0>{END}", text.replace(BEGIN, "").replace(END, ""))

    def ids_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, nothing added: special tokens are obeyed, those that are marked are text."""
        with obeyed(self._tokenizer):
            backend = backend_of(self._tokenizer)
            backend.no_truncation()
            backend.no_padding()
            ids = [e.ids for e in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
            for number, text in enumerate(texts):
                if BEGIN in text or END in text:
                    how = {"add_special_tokens": False, "sanitize_control_tokens": True}
                    ids[number] = self._tokenizer(text, **how)["input_ids"]
        return ids


BEGIN, END = "\U000f0000", "\U000f0001"
"""What transformers marks with, and takes for marks where it sanitizes."""


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """The longest of several that begin alike."""
    longest = sorted(names, key=lambda name: (-len(name), name))
    return re.compile("|".join(map(re.escape, longest)) or "(?!)")


def _changed(name: str) -> str:
    return name.swapcase() if name.swapcase() != name else f" {name[1:]}"


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with its texts changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(item, change) for key, item in value.items()}
    return [_each_text(item, change) for item in value] if isinstance(value, list) else value
