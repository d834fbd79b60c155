"""What one command alone reads."""

from __future__ import annotations

import pytest

from job.commands import find
from job.errors import SettingsError
from job.settings import load
from tests.support.settings import COMPLETE, refused


def test_blocks_of_a_tokenizer() -> None:
    """A base tokenizer keeps its own; and an unknown name is noticed before the texts are read."""
    rules, based = find("tokenizer").rules, {**COMPLETE, "FINETUNE_TOKENIZER__BASE": "org/model"}
    load({**based, "FINETUNE_TOKENIZER__VOCAB_SIZE": "900"}, rules=rules)
    for name, value in (("KIND", "char"), ("NORMALIZERS", "nfc"), ("POST_PROCESSOR", "end")):
        given = {**based, f"FINETUNE_TOKENIZER__{name}": value}
        with pytest.raises(SettingsError, match=f"FINETUNE_TOKENIZER__{name} has no effect"):
            load(given, rules=rules)
    unknown = "'spaces': input should be 'whitespace', "
    refused(unknown, TOKENIZER__PRE_TOKENIZERS="digits, spaces")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "FINETUNE_PREDICT__INPUT is not set"),
        (
            {"INPUT": "a.csv", "POD": "3", "PODS": "3"},
            "POD=3 is not one of FINETUNE_PREDICT__PODS=3; pods count from 0",
        ),
        ({"INPUT": '[{"uri": "a.csv", "weight": 2}]'}, "FINETUNE_PREDICT__INPUT has a weight"),
    ],
)
def test_rows_to_predict_for(given: dict[str, str], said: str) -> None:
    named = {f"FINETUNE_PREDICT__{name}": value for name, value in given.items()}
    with pytest.raises(SettingsError, match=said):
        load({**COMPLETE, **named}, rules=find("predict").rules)


def test_launching_is_the_charts() -> None:
    given = {f"FINETUNE_LAUNCH__{name}": "x" for name in ("MANIFESTS", "OWNER", "RELEASE")}
    load({**COMPLETE, **given}, rules=find("launch").rules)
    for name in given:
        rest = {other: value for other, value in given.items() if other != name}
        with pytest.raises(SettingsError, match=f"{name} is not set; the chart sets it"):
            load({**COMPLETE, **rest}, rules=find("launch").rules)
    with pytest.raises(SettingsError, match="each launched run has an id of its own"):
        load({**COMPLETE, **given, "FINETUNE_RUN_ID": "r1"}, rules=find("launch").rules)
