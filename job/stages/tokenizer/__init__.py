"""Tokenizer: cleaned texts become a tokenizer, with a report of what it does with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.data.arrow import stream
from job.data.artifacts import CleanRows
from job.errors import SettingsError
from job.models.quiet_imports import transformers
from job.runtime.stop import poll
from job.settings.sections.tokenizer import Tokenizer
from job.stages.tokenizer import blocks
from job.stages.tokenizer.statistics import report
from job.telemetry import event

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SAMPLE = 10_000
"""How many texts the report is over."""


def train_tokenizer(
    settings: Tokenizer,
    rows: CleanRows,
    base: PreTrainedTokenizerFast | None,
    folder: Path,
) -> dict[str, Any]:
    """Train on the `text` of the training rows, with one batch in memory at a time, and save to `folder`.

    Args:
        base: the tokenizer whose pipeline is retrained, if `settings.base` is set; otherwise the
            one that the report compares with, or None.

    Returns:
        The report.

    Raises:
        SettingsError: a block does not fit the others, or the alphabet does not fit the vocabulary.
    """
    with _room_for_the_alphabet(settings):
        if settings.base and base is not None:
            batches, size = _batches(rows), settings.vocab_size
            tokenizer = base.train_new_from_iterator(batches, size, show_progress=False)
        else:
            tokenizer = _built(settings, rows)
    if len(tokenizer) > settings.vocab_size:
        raise _too_small(settings, f"are {len(tokenizer)} already")
    texts = list(islice(chain.from_iterable(_batches(rows)), SAMPLE))
    figures = report(tokenizer, texts, base)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer_report.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False))
    event("tokenizer trained", **figures["tokenizer"])
    return figures


@contextmanager
def _room_for_the_alphabet(settings: Tokenizer) -> Iterator[None]:
    """Unigram's trainer, unlike the others, raises rather than exceed its bound."""
    try:
        yield
    except Exception as error:
        if "not large enough to contain all chars" not in str(error):
            raise
        raise _too_small(settings, "are more") from None


def _too_small(settings: Tokenizer, how_many: str) -> SettingsError:
    return SettingsError(
        f"FINETUNE_TOKENIZER__VOCAB_SIZE={settings.vocab_size} is smaller than the alphabet: "
        f"the texts' characters and the special tokens {how_many}",
        hint="raise it, or normalize the texts (nfkc, lowercase)",
    )


def _built(settings: Tokenizer, rows: CleanRows) -> Any:
    backend, trainer = blocks.build(settings)
    backend.train_from_iterator(_batches(rows), trainer, length=rows.rows["train"])
    processor = blocks.post_processor(settings, backend)
    if processor is not None:
        backend.post_processor = processor
    types = ["token_type_ids"] if "cls_token" in blocks.special_tokens(settings) else []
    return transformers().PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=settings.max_length,
        model_input_names=["input_ids", *types, "attention_mask"],
        clean_up_tokenization_spaces=False,
        **blocks.special_tokens(settings),
    )


def _batches(rows: CleanRows) -> Iterator[list[str]]:
    """The training texts, a record batch at a time."""
    # tokenizers asks for them in threads of its own, which do not have this one's `poll`
    context = copy_context()

    def batches() -> Iterator[list[str]]:
        for batch in stream(rows.tables["train"]):
            context.run(poll)
            yield [text for text in batch.column("text").to_pylist() if text]

    return batches()
