"""TOKENIZER: what `finetune tokenizer` builds, block by block."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from job.settings.sections.base import Section
from job.settings.sections.data import listed
from job.uris import Uri

Normalizer = Literal["nfc", "nfd", "nfkc", "nfkd", "lowercase", "strip", "strip_accents", "bert"]
PreTokenizer = Literal[
    "whitespace",
    "whitespace_split",
    "bert",
    "byte_level",
    "metaspace",
    "punctuation",
    "digits",
    "characters",
]


class Tokenizer(Section):
    """A tokenizer of your own; blocks that are not named are the kind's usual ones."""

    kind: Literal["wordpiece", "bpe", "unigram", "wordlevel", "char"] = "bpe"
    """WordPiece as in BERT, byte-level BPE as in GPT-2, Unigram as in T5, whole words, or characters."""

    base: Uri | None = None
    """Retrain the pipeline of this existing tokenizer instead of building one from blocks."""

    vocab_size: Annotated[int, Field(ge=2)] = 30_000
    """The most tokens in the vocabulary, special ones included."""

    min_frequency: Annotated[int, Field(ge=1)] = 2
    """How often something must occur in the texts to become a token."""

    normalizers: (
        Annotated[
            tuple[Normalizer, ...],
            BeforeValidator(listed, json_schema_input_type=str | list[Normalizer]),
        ]
        | None
    ) = None
    """In order: nfc, nfd, nfkc, nfkd, lowercase, strip, strip_accents, bert. `[]` is none."""

    pre_tokenizers: (
        Annotated[
            tuple[PreTokenizer, ...],
            BeforeValidator(listed, json_schema_input_type=str | list[PreTokenizer]),
        ]
        | None
    ) = None
    """In order: whitespace, whitespace_split, bert, byte_level, metaspace, punctuation, digits, characters."""

    post_processor: Literal["auto", "none", "bert", "end"] = "auto"
    """`bert` puts a classifier and separator tokens around texts, `end` an end-of-text token after them."""

    special_tokens: dict[str, str] = Field(default_factory=dict)
    """Other names for special tokens: `{"mask_token": "<mask>"}`."""

    max_length: Annotated[int, Field(ge=2)] = 512
    """The longest input that the tokenizer says its models take (model_max_length)."""
