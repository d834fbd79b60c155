"""Questions that leave room for their context."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def shortened(tokenizer: PreTrainedTokenizerFast, question: str, most: int) -> str:
    """The question, cut where it has more tokens than `most`."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()  # some are published with it, and a padded question is never short enough
    whole = encoding = backend.encode(question, add_special_tokens=False)
    kept = most
    while len(encoding) > most:  # what is cut inside a word may have more tokens than it had
        question = question[: whole.offsets[kept - 1][1]]
        encoding = backend.encode(question, add_special_tokens=False)
        kept -= 1
    return question
