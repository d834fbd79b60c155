"""What a tokenizer does with real texts, compared with another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LONGEST = 20


@dataclass(frozen=True)
class Usage:
    """Figures over a sample of the texts."""

    vocabulary: int
    tokens_per_word: float
    """Words are what white space separates; special tokens do not count."""
    unknown_rate: float
    """The fraction of tokens that are unknown."""
    bytes_per_token: float
    """UTF-8 bytes of text per token: the higher, the fewer tokens a model has to read."""


def usage(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> Usage:
    """Run the tokenizer over the texts."""
    words = tokens = unknown = size = 0
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        words += len(text.split())
        size += len(text.encode())
        tokens += len(ids)
        unknown += sum(1 for i in ids if i == tokenizer.unk_token_id)
    return Usage(
        len(tokenizer),
        tokens / max(1, words),
        unknown / max(1, tokens),
        size / max(1, tokens),
    )


def report(
    tokenizer: PreTrainedTokenizerFast, texts: list[str], other: PreTrainedTokenizerFast | None
) -> dict[str, Any]:
    """tokenizer_report.json: the usage, that of the base tokenizer, and the longest tokens."""
    readable = {tokenizer.decode([i]) for i in tokenizer.get_vocab().values()}
    figures: dict[str, Any] = {
        "texts": len(texts),
        "tokenizer": asdict(usage(tokenizer, texts)),
        "longest_tokens": sorted(readable, key=lambda t: (-len(t), t))[:LONGEST],
    }
    if other is not None:
        figures["base"] = asdict(usage(other, texts))
    return figures
