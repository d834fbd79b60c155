"""Tokenizers are left as they were."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer

from job.tasks.tokens import tokenize
from tests.support.samples import tiny_bert


def test_a_tokenizer_is_not_left_cutting(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path, ["a b c d e f g"] * 5))
    assert len(tokenize(tokenizer, ["a b c d e f g"], None, 4).input_ids[0]) == 4
    assert tokenizer.backend_tokenizer.truncation is None
