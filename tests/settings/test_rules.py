"""What settings have to do with each other, task by task."""

from __future__ import annotations

import pytest

from job.commands import TRAINING, find
from job.errors import SettingsError
from job.settings import load

COMPLETE = {
    "FINETUNE_OUTPUT": "s3://bucket/models",
    "FINETUNE_DATA__TRAIN": "s3://bucket/train.csv",
    "FINETUNE_MODEL__NAME": "org/model",
}


@pytest.mark.parametrize("task", ["token-classification", "question-answering"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLEAN__LOWERCASE", "true"),
        ("CLEAN__UNESCAPE_HTML", "true"),
        ("CLEAN__NORMALIZE_UNICODE", "NFKC"),
        ("TRAIN__CLASS_WEIGHTS", "balanced"),
    ],
)
def test_what_tags_and_answers_count_may_not_change(task: str, name: str, value: str) -> None:
    given = {**COMPLETE, f"FINETUNE_{name}": value}
    with pytest.raises(SettingsError, match=f"FINETUNE_{name} .*{task}"):
        load({**given, "FINETUNE_TASK": task}, rules=TRAINING)
    load(given, rules=TRAINING)


@pytest.mark.parametrize("name", ["LOWERCASE", "UNESCAPE_HTML"])
def test_chats_are_not_cleaned(name: str) -> None:
    given = {**COMPLETE, "FINETUNE_TASK": "text-generation", f"FINETUNE_CLEAN__{name}": "true"}
    load(given, rules=TRAINING)
    with pytest.raises(SettingsError, match=f"FINETUNE_CLEAN__{name} is not applied to messages"):
        load({**given, "FINETUNE_DATA__COLUMNS__MESSAGES": "messages"}, rules=TRAINING)


def test_label_smoothing_is_not_for_positions() -> None:
    given = {**COMPLETE, "FINETUNE_TRAIN__LABEL_SMOOTHING": "0.1"}
    with pytest.raises(SettingsError, match="no meaning for question-answering"):
        load({**given, "FINETUNE_TASK": "question-answering"}, rules=TRAINING)
    load({**given, "FINETUNE_TASK": "token-classification"}, rules=TRAINING)


def test_blocks_of_a_tokenizer() -> None:
    """A base tokenizer keeps its own; and a name that is none is found out before the texts are read."""
    based = {**COMPLETE, "FINETUNE_TOKENIZER__BASE": "org/model"}
    load({**based, "FINETUNE_TOKENIZER__VOCAB_SIZE": "900"}, rules=find("tokenizer").rules)
    for name, value in (("KIND", "char"), ("NORMALIZERS", "nfc"), ("POST_PROCESSOR", "end")):
        given = {**based, f"FINETUNE_TOKENIZER__{name}": value}
        with pytest.raises(SettingsError, match=f"FINETUNE_TOKENIZER__{name} has no effect"):
            load(given, rules=find("tokenizer").rules)
    with pytest.raises(SettingsError, match="'spaces': input should be 'whitespace', "):
        load({**COMPLETE, "FINETUNE_TOKENIZER__PRE_TOKENIZERS": "digits, spaces"}, rules=TRAINING)
