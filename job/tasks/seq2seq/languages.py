"""Targets as tokens, and the languages of tokenizers that know several (mBART, NLLB)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from job.errors import SettingsError
from job.tasks.special_tokens import SpecialTokens
from job.tasks.tokens import Tokens, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SETTINGS = {
    "src_lang": "FINETUNE_ENCODE__SOURCE_LANGUAGE",
    "tgt_lang": "FINETUNE_ENCODE__TARGET_LANGUAGE",
}
"""The setting of each of a tokenizer's languages."""


def tokenize_targets(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int
) -> Tokens:
    """Texts as `tokenizer(text_target=…)` tokenizes them, cut at `max_length` tokens.

    Where targets are tokenized as sources are, the backend is called directly, which is faster.
    """
    if not hasattr(tokenizer, "_switch_to_target_mode"):
        return tokenize(tokenizer, texts, None, max_length)
    texts = SpecialTokens(tokenizer).readable(texts)
    tokens = tokenizer(text_target=texts, truncation=True, max_length=max_length)
    ids = tokens["input_ids"]
    return Tokens(
        input_ids=pa.array(ids, pa.list_(pa.int32())),
        token_type_ids=None,
        lengths=pa.array([len(row) for row in ids], pa.int32()),
        cut=np.array([bool(encoding.overflowing) for encoding in tokens.encodings], bool),
    )


def set_languages(
    tokenizer: PreTrainedTokenizerFast, source: str | None, target: str | None
) -> None:
    """Tell a tokenizer of several languages which ones to use; they are saved with it.

    Raises:
        SettingsError: it knows no languages, or not this one, or needs one and none is set.
    """
    for name, wanted in (("src_lang", source), ("tgt_lang", target)):
        if not hasattr(tokenizer, name):
            if wanted is not None:
                raise SettingsError(
                    f"{SETTINGS[name]}={wanted}: this tokenizer knows no languages",
                    hint="unset it; a T5 takes FINETUNE_ENCODE__PREFIX",
                )
        elif wanted is not None:
            _check_known(tokenizer, SETTINGS[name], wanted)
            setattr(tokenizer, name, wanted)
        elif getattr(tokenizer, name) is None:
            raise SettingsError(
                "this tokenizer knows several languages, and no setting says which one a text is in",
                hint=f"set {SETTINGS[name]}, such as one of {', '.join(_codes(tokenizer)[:5])}",
            )


def _check_known(tokenizer: PreTrainedTokenizerFast, setting: str, language: str) -> None:
    codes = _codes(tokenizer)
    if language not in codes:
        near = get_close_matches(language, codes, n=3, cutoff=0.3) or codes[:3]
        raise SettingsError(
            f"{setting}={language} is not a language of this tokenizer",
            hint=f"it names them {', '.join(near)}",
        )


def _codes(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """The special tokens that name languages: those that do not look like any other special token."""
    return sorted(str(t) for t in tokenizer.all_special_tokens if not str(t).startswith(("<", "[")))


@dataclass(frozen=True)
class Beginning:
    """How a decoder is made to begin in the right language; both are None for a single language."""

    forced_bos_token_id: int | None = None
    """The first token to be generated, where targets begin with their language (NLLB, mBART-50)."""
    decoder_start_token_id: int | None = None
    """The token before it, where targets end with their language (mBART)."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast, language: str | None) -> Beginning:
        """As the tokenizer lays out targets in this language."""
        if language is None:
            return cls()
        code = tokenizer.convert_tokens_to_ids(language)
        ids = tokenize_targets(tokenizer, ["a"], 16).input_ids[0].as_py()
        return cls(code if ids[0] == code else None, code if ids[-1] == code else None)

    def write(self, config: Any) -> None:
        """Write it into a generation config, or a model's own config."""
        for name, value in asdict(self).items():
            if value is not None:
                setattr(config, name, value)
