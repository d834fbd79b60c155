"""A tokenizer's blocks by name: normalizers, pre-tokenizers, model and trainer, post-processor, decoder.

Each kind is the pipeline of a well-known model; settings can replace any block of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import (
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from job.errors import SettingsError
from job.settings.sections.tokenizer import Tokenizer

NORMALIZERS: dict[str, Any] = {
    "nfc": normalizers.NFC,
    "nfd": normalizers.NFD,
    "nfkc": normalizers.NFKC,
    "nfkd": normalizers.NFKD,
    "lowercase": normalizers.Lowercase,
    "strip": normalizers.Strip,
    "strip_accents": lambda: normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    "bert": normalizers.BertNormalizer,
}
PRE_TOKENIZERS: dict[str, Any] = {
    "whitespace": pre_tokenizers.Whitespace,
    "whitespace_split": pre_tokenizers.WhitespaceSplit,
    "bert": pre_tokenizers.BertPreTokenizer,
    "byte_level": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "metaspace": pre_tokenizers.Metaspace,
    "punctuation": pre_tokenizers.Punctuation,
    "digits": lambda: pre_tokenizers.Digits(individual_digits=True),
    "characters": lambda: pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"),
}
BERT_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
T5_TOKENS = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
GPT2_TOKENS = {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "pad_token": "<pad>"}


@dataclass(frozen=True)
class Kind:
    """The usual blocks of a kind."""

    normalizers: tuple[str, ...]
    pre_tokenizers: tuple[str, ...]
    post_processor: str
    special_tokens: dict[str, str]


KINDS = {
    "wordpiece": Kind(("bert",), ("bert",), "bert", BERT_TOKENS),
    "bpe": Kind((), ("byte_level",), "none", GPT2_TOKENS),
    "unigram": Kind(("nfkc",), ("metaspace",), "end", T5_TOKENS),
    "wordlevel": Kind(("nfc",), ("whitespace",), "bert", BERT_TOKENS),
    "char": Kind((), ("characters",), "end", T5_TOKENS),
}


def special_tokens(settings: Tokenizer) -> dict[str, str]:
    """Special tokens by transformers' names for them, in the order of their ids."""
    return {**KINDS[settings.kind].special_tokens, **settings.special_tokens}


def build(settings: Tokenizer) -> tuple[tokenizers.Tokenizer, Any]:
    """An untrained tokenizer and its trainer."""
    kind, special = KINDS[settings.kind], special_tokens(settings)
    model, trainer, decoder = _model(settings, special)
    tokenizer = tokenizers.Tokenizer(model)
    chosen = kind.normalizers if settings.normalizers is None else settings.normalizers
    if chosen:
        tokenizer.normalizer = normalizers.Sequence([NORMALIZERS[name]() for name in chosen])
    chosen = kind.pre_tokenizers if settings.pre_tokenizers is None else settings.pre_tokenizers
    if chosen:
        blocks = [PRE_TOKENIZERS[name]() for name in chosen]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(blocks)
    tokenizer.decoder = decoder
    return tokenizer, trainer


def _model(settings: Tokenizer, special: dict[str, str]) -> tuple[Any, Any, Any]:
    unknown = special.get("unk_token", "")
    common: dict[str, Any] = {
        "vocab_size": settings.vocab_size,
        "special_tokens": list(dict.fromkeys(special.values())),
        "show_progress": False,
    }
    often = {**common, "min_frequency": settings.min_frequency}
    if settings.kind == "wordpiece":
        model = models.WordPiece(unk_token=unknown)
        return model, trainers.WordPieceTrainer(**often), decoders.WordPiece()
    if settings.kind == "bpe":
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        bpe = trainers.BpeTrainer(**often, initial_alphabet=alphabet)
        return models.BPE(), bpe, decoders.ByteLevel()
    if settings.kind == "unigram":
        trainer = trainers.UnigramTrainer(**common, unk_token=unknown)
        return models.Unigram(), trainer, decoders.Metaspace()
    words = models.WordLevel(unk_token=unknown)
    if settings.kind == "wordlevel":
        return words, trainers.WordLevelTrainer(**often), None
    # every character counts, however rare; whether they fit is checked afterwards
    every = {**common, "vocab_size": 2**31, "min_frequency": 1}
    return words, trainers.WordLevelTrainer(**every), decoders.Fuse()


def post_processor(settings: Tokenizer, tokenizer: tokenizers.Tokenizer) -> Any:
    """What puts special tokens around texts; only a trained tokenizer knows their ids.

    Raises:
        SettingsError: a special token that it needs is not set.
    """
    wanted: str = settings.post_processor
    wanted = KINDS[settings.kind].post_processor if wanted == "auto" else wanted
    special = special_tokens(settings)
    needed = {"bert": ("cls_token", "sep_token"), "end": ("eos_token",)}.get(wanted, ())
    for name in needed:
        if name not in special:
            raise SettingsError(
                f"FINETUNE_TOKENIZER__POST_PROCESSOR={wanted} needs a {name}",
                hint="set it in FINETUNE_TOKENIZER__SPECIAL_TOKENS, or choose another post-processor",
            )
    pairs = [(special[name], tokenizer.token_to_id(special[name])) for name in needed]
    if wanted == "bert":
        (cls, _), (sep, _) = pairs
        return processors.TemplateProcessing(
            single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B:1 {sep}:1", special_tokens=pairs
        )
    if wanted == "end":
        ((end, _),) = pairs
        return processors.TemplateProcessing(
            single=f"$A {end}", pair=f"$A {end} $B:1 {end}:1", special_tokens=pairs
        )
    return processors.ByteLevel(trim_offsets=False) if settings.kind == "bpe" else None
