"""Questions that leave room for their context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from job.tasks.special_tokens import backend_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def shortened(tokenizer: PreTrainedTokenizerFast, question: str, most: int) -> str:
    """The question, cut where it has more than `most` tokens."""
    backend = backend_of(tokenizer)
    backend.no_truncation()
    backend.no_padding()  # some are published with padding, and a padded question is never short enough
    whole = encoding = backend.encode(question, add_special_tokens=False)
    kept = most
    while len(encoding) > most:  # cutting inside a word may give more tokens than before
        question = question[: whole.offsets[kept - 1][1]]
        encoding = backend.encode(question, add_special_tokens=False)
        kept -= 1
    return question
