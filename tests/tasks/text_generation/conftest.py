"""A small decoder, and a tokenizer that lays out chats."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from tests.support.samples import tiny_bert
from tests.tasks.text_generation.samples import CHAT


@pytest.fixture(scope="package")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    texts = ["ask what is it user assistant a b c d e f g"] * 9
    made = AutoTokenizer.from_pretrained(tiny_bert(tmp_path_factory.mktemp("bert"), texts))
    made.eos_token = "[SEP]"
    made.chat_template = CHAT
    return made


@pytest.fixture(scope="package")
def model(tokenizer: Any) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=2, eos_token_id=3, pad_token_id=0
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()
