"""Mistakes in DATA and CLEAN: which rows there are, and what may be done to them."""

from __future__ import annotations

from collections.abc import Iterator

from job.settings.tree import Settings


def training_rows(settings: Settings) -> Iterator[str]:
    """Something must be learned from."""
    if not settings.data.train:
        yield "FINETUNE_DATA__TRAIN is not set; name the training rows' URI"


def scored_rows(settings: Settings) -> Iterator[str]:
    """A model that is only scored needs rows for it, given or held out of the training rows."""
    data = settings.data
    if not data.test and not data.validation and not data.train:
        yield "FINETUNE_DATA__TEST is not set; name the URI of the rows to score the model on"
    elif data.train and not (
        data.test or data.test_fraction or data.validation or data.validation_fraction
    ):
        yield "FINETUNE_DATA__TEST_FRACTION is 0, so there is nothing to score; hold out rows, or set FINETUNE_DATA__TEST"


def sources(settings: Settings) -> Iterator[str]:
    """Fractions, weights, formats and bounds of rows, wherever they come from."""
    data, clean = settings.data, settings.clean
    held_out = data.validation_fraction + data.test_fraction
    if held_out >= 1:
        yield (
            "FINETUNE_DATA__VALIDATION_FRACTION and FINETUNE_DATA__TEST_FRACTION add up to "
            f"{held_out:g}; leave rows to train on"
        )
    for split in ("validation", "test"):
        for source in getattr(data, split):
            if source.weight != 1:
                yield f"FINETUNE_DATA__{split.upper()} has a weight; only training rows may have one"
    suffixes = (s.uri.suffix for s in (*data.train, *data.validation, *data.test))
    if not data.allow_pickle and any(f in ("pickle", "pkl") for f in (data.format, *suffixes)):
        yield (
            "FINETUNE_DATA__FORMAT=pickle is refused, since whoever wrote a pickle can run any program "
            "in this job; convert it to parquet, or set FINETUNE_DATA__ALLOW_PICKLE=true if you trust its writer"
        )
    low, high = clean.min_words, clean.max_words
    if high is not None and low > high:
        yield f"FINETUNE_CLEAN__MIN_WORDS={low} is above FINETUNE_CLEAN__MAX_WORDS={high}; swap them"


def columns(settings: Settings) -> Iterator[str]:
    """The columns of text-generation exclude or need each other."""
    roles = settings.data.columns
    if bool(roles.prompt) != bool(roles.completion):
        yield "FINETUNE_DATA__COLUMNS__PROMPT and __COMPLETION belong together; set both or neither"
    if roles.messages and roles.prompt:
        yield "FINETUNE_DATA__COLUMNS__MESSAGES and __PROMPT exclude each other; unset one"


def verbatim(settings: Settings) -> Iterator[str]:
    """Tags count words, answers count characters, and chats are JSON: none of them may be changed."""
    clean = settings.clean
    chats = settings.task == "text-generation" and settings.data.columns.messages
    if not chats and settings.task not in ("token-classification", "question-answering"):
        return
    changes = {
        "UNESCAPE_HTML": clean.unescape_html,
        "LOWERCASE": clean.lowercase,
        "NORMALIZE_UNICODE": clean.normalize_unicode,
    }
    for name in (name for name, wanted in changes.items() if wanted):
        what = (
            "is not applied to messages" if chats else f"would change what {settings.task} counts"
        )
        yield f"FINETUNE_CLEAN__{name} {what}; unset it, and leave it to the tokenizer"
