"""What config.json and the tokenizer allow a row to have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig

from job.errors import DataError, SettingsError
from job.models import Place, load_config, max_length_of
from job.settings import Model
from tests.support.architectures import wordpiece


@pytest.mark.parametrize("length", [0, -1, 1, "x", None])
def test_a_tokenizer_that_takes_nothing(length: Any) -> None:
    tokenizer = wordpiece()
    tokenizer.model_max_length = length
    with pytest.raises(SettingsError, match="leaves no room for a text"):
        max_length_of(BertConfig(), tokenizer, None)


@pytest.mark.parametrize(
    "fields",
    [{"num_labels": 10**9}, {"num_hidden_layers": 10**9}, {"text_config": []}, {"vocab_size": 0}],
)
def test_sizes_that_no_model_has(fields: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **fields}))
    with pytest.raises(DataError, match="the config in m cannot be read"):
        load_config(Place("m", tmp_path, ""), Model())
