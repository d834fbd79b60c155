"""Tokenizers that cut words differently, for tests over any text."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXT = st.text("abcé-. \n字\u200b", max_size=60)


@cache
def tokenizers() -> list[PreTrainedTokenizerFast]:
    """WordPiece with [CLS] and [SEP], and byte-level BPE, for which a space is part of a word."""
    special = ["[UNK]", "[CLS]", "[SEP]"]
    texts = ["ab abc a-b c.a é caé ba", "abcabc cab 字 a字b"] * 9
    piece, level = Tokenizer(models.WordPiece(unk_token="[UNK]")), Tokenizer(models.BPE())
    piece.normalizer = normalizers.BertNormalizer(strip_accents=False)
    piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for backend, trainer in (
        (piece, trainers.WordPieceTrainer(vocab_size=40, special_tokens=special)),
        (level, trainers.BpeTrainer(vocab_size=300, special_tokens=special,
                                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet())),
    ):  # fmt: skip
        backend.train_from_iterator(texts, trainer)
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
        )
    return [PreTrainedTokenizerFast(tokenizer_object=backend) for backend in (piece, level)]
