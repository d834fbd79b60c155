"""Small encoder-decoders from a config, with a byte-level tokenizer of the texts they are for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.samples import SHARED

WORDS = [
    "the",
    "a",
    "small",
    "big",
    "red",
    "blue",
    "dog",
    "cat",
    "house",
    "tree",
    "runs",
    "sleeps",
    "sees",
    "near",
    "under",
    "with",
]
BACKWARDS = [
    (f"{a} {b} {c}", f"{c} {b} {a}") for a in WORDS[:6] for b in WORDS[4:10] for c in WORDS[8:]
]
"""Sources, and targets with the same words in reverse."""


def byte_level_tokenizer(texts: Iterable[str], kind: str, words: int = 500) -> Any:
    """T5's layout (an end after the text) or BART's (a beginning too); nothing is unknown to it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=["<pad>", "<s>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>" if kind == "t5" else "<s> $A </s>",
        special_tokens=[("<s>", 1), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )


def tiny(
    folder: Path, texts: Iterable[str], kind: str, *, width: int = 32, words: int = 500
) -> Path:
    """A T5 or a BART of two narrow layers on each side, random weights, dropout as it is by default."""
    import torch
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        T5Config,
        T5ForConditionalGeneration,
    )

    tokenizer = byte_level_tokenizer(texts, kind, words)
    torch.manual_seed(0)
    model: Any
    if kind == "t5":
        model = T5ForConditionalGeneration(
            T5Config(
                vocab_size=len(tokenizer), d_model=width, d_kv=width // 2, d_ff=2 * width, num_layers=2, num_heads=2,
                pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
            )
        )  # fmt: skip
    else:
        model = BartForConditionalGeneration(
            BartConfig(
                vocab_size=len(tokenizer), d_model=width, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
                decoder_attention_heads=2, encoder_ffn_dim=2 * width, decoder_ffn_dim=2 * width, max_position_embeddings=512,
                pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
            )
        )  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def multi30k(rows: int) -> list[tuple[str, str]]:
    """The first German and English sentences."""
    sides = [_lines(f"multi30k/train.{language}.gz")[:rows] for language in ("de", "en")]
    return list(zip(*sides, strict=True))


def dialogsum(rows: int) -> list[tuple[str, str]]:
    """The shortest dialogues with their summaries; long ones take minutes and test the same."""
    lines = (SHARED / "dialogsum" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    found = [(row["dialogue"], row["summary"]) for row in map(json.loads, lines)]
    return sorted(found, key=lambda pair: len(pair[0]))[:rows]


def _lines(name: str) -> list[str]:
    with gzip.open(SHARED / name, "rt", encoding="utf-8") as file:
        return file.read().splitlines()
