"""Tokenizers that know several languages, and those that know none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, MBartTokenizer, NllbTokenizer

from job.errors import SettingsError
from tests.tasks.seq2seq.samples import made


def nllb() -> Any:
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁": 4, "a": 5, "▁a": 6}
    return NllbTokenizer(vocab=vocabulary, merges=[("▁", "a")])


def test_a_tokenizer_of_several_languages_is_told_them(tmp_path: Path) -> None:
    tokenizer = nllb()
    task = made(source_language="deu_Latn", target_language="fra_Latn")
    task.configure_tokenizer(tokenizer)
    columns = task.features({"source": ["a"], "target": ["a"]}, tokenizer, 8).columns
    code = tokenizer.convert_tokens_to_ids
    assert columns["input_ids"][0].as_py() == [code("deu_Latn"), 6, 2]
    assert columns["labels"][0].as_py() == [code("fra_Latn"), 6, 2]
    fitted = task.fitted({}, {}, (), tokenizer)
    assert fitted.facts == {"forced_bos_token_id": code("fra_Latn"), "decoder_start_token_id": None}
    assert task.restored(fitted.facts) == fitted
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("a", text_target="a")["labels"] == columns["labels"][0].as_py()


def test_mbart_begins_with_the_language_that_its_targets_end_with() -> None:
    tokenizer = MBartTokenizer()
    task = made(source_language="en_XX", target_language="ro_RO")
    task.configure_tokenizer(tokenizer)
    facts = task.fitted({}, {}, (), tokenizer).facts
    assert facts["decoder_start_token_id"] == tokenizer.convert_tokens_to_ids("ro_RO")
    assert facts["forced_bos_token_id"] is None


@pytest.mark.parametrize(
    ("encode", "words"),
    [
        ({}, "FINETUNE_ENCODE__TARGET_LANGUAGE"),
        ({"target_language": "fra_Latin"}, "fra_Latn"),
    ],
)
def test_missing_and_unknown_languages_are_refused(encode: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        made(**encode).configure_tokenizer(nllb())


def test_tokenizers_that_cannot_do_it_are_refused(tokenizer: Any) -> None:
    made().configure_tokenizer(tokenizer)
    with pytest.raises(SettingsError, match="knows no languages"):
        made(target_language="fr").configure_tokenizer(tokenizer)
    other = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
    other.eos_token = None
    with pytest.raises(SettingsError, match="end-of-text token"):
        made().configure_tokenizer(other)
