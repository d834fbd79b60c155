"""What a tokenizer decides of a model that is made for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import BartConfig, BartForConditionalGeneration

from job.models import Place, find, load_tokenizer, tokenizer_sha256, vocabulary_of
from job.settings import Model
from job.stages.train.model import make_trainable
from job.tasks.seq2seq import Translation
from tests.support.samples import settings_of
from tests.support.seq2seq_samples import byte_level_tokenizer


@pytest.fixture
def tokenizer() -> Any:
    """Its texts end with token 0, as GPT-2's do in a vocabulary of our own."""
    found = byte_level_tokenizer(["a text"], "t5")
    found.eos_token, found.pad_token = "<pad>", "</s>"
    return found


def test_a_tokens_id_may_be_0(tokenizer: Any) -> None:
    found = vocabulary_of(tokenizer)
    assert (found["eos_token_id"], found["pad_token_id"], found["bos_token_id"]) == (0, 2, 1)
    tokenizer.eos_token = None
    tokenizer.sep_token = "<s>"
    assert vocabulary_of(tokenizer)["eos_token_id"] == 1


def test_the_token_that_pads_is_said(
    tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    with caplog.at_level("INFO", logger="finetune"):
        found = load_tokenizer(Place("words", tmp_path, ""), Model())
    assert found.pad_token == tokenizer.eos_token
    assert "no padding token; another serves" in caplog.text


def test_generation_ends_where_training_ends_a_text(tokenizer: Any) -> None:
    sides = {f"{side}_{name}": 8 for side in ("encoder", "decoder") for name in ("ffn_dim",)}
    config = BartConfig(vocab_size=len(tokenizer), d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1, decoder_attention_heads=1, **sides)  # fmt: skip
    task = Translation.create(settings_of())
    model = make_trainable(BartForConditionalGeneration(config), tokenizer, task, Model())
    generation = model.generation_config
    assert model.config.eos_token_id == generation.eos_token_id == 0
    assert generation.forced_eos_token_id == 0


def test_several_ends_that_a_model_knows_stay(tokenizer: Any) -> None:
    config = BartConfig(vocab_size=len(tokenizer), d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1, decoder_attention_heads=1)  # fmt: skip
    model = BartForConditionalGeneration(config)
    model.generation_config.eos_token_id = [7, 0]
    model.generation_config.forced_eos_token_id = None
    task = Translation.create(settings_of())
    assert make_trainable(model, tokenizer, task, Model()).generation_config.eos_token_id == [7, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chat_template", "{{ messages[0].content }}"),
        ("eos_token", "<s>"),
        ("pad_token", "<s>"),
        ("padding_side", "left"),
        ("truncation_side", "left"),
        ("model_input_names", ["input_ids"]),
        ("split_special_tokens", True),
    ],
)
def test_a_tokenizer_is_all_that_rows_are_written_with(
    tokenizer: Any, name: str, value: Any
) -> None:
    before = tokenizer_sha256(tokenizer)
    setattr(tokenizer, name, value)
    assert tokenizer_sha256(tokenizer) != before


def test_a_tokenizer_is_the_same_however_it_was_used_and_wherever_it_lies(
    tokenizer: Any, tmp_path: Path
) -> None:
    tokenizer.chat_template = "{{ messages[0].content }}"
    found = set()
    for name in ("one", "other"):
        tokenizer.save_pretrained(tmp_path / name)
        again = load_tokenizer(Place(name, tmp_path / name, ""), Model())
        found.add(tokenizer_sha256(again))
        again("a text that is cut", truncation=True, max_length=2, padding="max_length")
        found.add(tokenizer_sha256(again))
    assert len(found) == 1


@pytest.mark.parametrize(
    "name",
    ["chat_template.jinja", "additional_chat_templates/tools.jinja", "spm.model", "merges.txt"],
)
def test_a_folder_is_every_file_that_may_be_read_of_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "notes.md").write_text("one")
    before = find(str(tmp_path), None, tmp_path).identity
    (tmp_path / "notes.md").write_text("two")
    assert find(str(tmp_path), None, tmp_path).identity == before
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("one")
    with_it = find(str(tmp_path), None, tmp_path).identity
    (tmp_path / name).write_text("two")
    assert len({before, with_it, find(str(tmp_path), None, tmp_path).identity}) == 3
