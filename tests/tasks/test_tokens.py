"""Tokenizers are taken and left as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from job.tasks.tokens import tokenize
from tests.support.samples import tiny_bert


def test_a_tokenizer_is_not_left_cutting(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path, ["a b c d e f g"] * 5))
    assert len(tokenize(tokenizer, ["a b c d e f g"], None, 4).input_ids[0]) == 4
    assert tokenizer.backend_tokenizer.truncation is None


@pytest.mark.parametrize(("side", "kept"), [("right", "a b c"), ("left", "e f g")])
def test_a_text_is_cut_on_the_tokenizers_side(side: str, kept: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path, ["a b c d e f g"] * 5))
    tokenizer.truncation_side = side
    (ids,) = tokenize(tokenizer, ["a b c d e f g"], None, 5).input_ids.to_pylist()
    assert tokenizer.decode(ids, skip_special_tokens=True) == kept
    assert ids == tokenizer("a b c d e f g", truncation=True, max_length=5)["input_ids"]
