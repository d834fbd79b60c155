"""A small T5 and a small BART for the tests of summarization and translation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.support.seq2seq_samples import BACKWARDS, tiny


@pytest.fixture(scope="package", params=["t5", "bart"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [text for pair in BACKWARDS for text in pair]
    return tiny(tmp_path_factory.mktemp(request.param), texts, request.param)


@pytest.fixture(scope="package")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)
