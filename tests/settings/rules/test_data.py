"""Which rows there are, and what may be done to them."""

from __future__ import annotations

import pytest

from job.commands import find
from job.errors import SettingsError
from job.settings import load
from tests.support.settings import COMPLETE, loaded, refused


@pytest.mark.parametrize("task", ["token-classification", "question-answering"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLEAN__LOWERCASE", "true"),
        ("CLEAN__UNESCAPE_HTML", "true"),
        ("CLEAN__NORMALIZE_UNICODE", "NFKC"),
    ],
)
def test_what_tags_and_answers_count_may_not_change(task: str, name: str, value: str) -> None:
    refused(f"FINETUNE_{name} .*{task}", TASK=task, **{name: value})
    loaded(**{name: value})


@pytest.mark.parametrize("name", ["LOWERCASE", "UNESCAPE_HTML"])
def test_chats_are_not_cleaned(name: str) -> None:
    given = {"TASK": "text-generation", f"CLEAN__{name}": "true"}
    loaded(**given)
    said = f"FINETUNE_CLEAN__{name} is not applied to messages"
    refused(said, DATA__COLUMNS__MESSAGES="messages", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DATA__TEST": '[{"uri": "a.csv", "weight": 2}]'}, "FINETUNE_DATA__TEST has a weight"),
        ({"DATA__TRAIN": "a.pkl"}, "FINETUNE_DATA__FORMAT=pickle is refused"),
        (
            {"CLEAN__MIN_WORDS": "3", "CLEAN__MAX_WORDS": "2"},
            "MIN_WORDS=3 is above FINETUNE_CLEAN__MAX_WORDS=2; swap them",
        ),
        ({"DATA__COLUMNS__PROMPT": "ask"}, "belong together; set both or neither"),
        (
            {
                "DATA__COLUMNS__PROMPT": "ask",
                "DATA__COLUMNS__COMPLETION": "say",
                "DATA__COLUMNS__MESSAGES": "chat",
            },
            "MESSAGES and __PROMPT exclude each other",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, str], said: str) -> None:
    refused(said, **given)


def test_a_model_is_scored_on_rows_that_it_was_not_trained_on() -> None:
    rules = find("evaluate").rules
    nothing = {name: value for name, value in COMPLETE.items() if "TRAIN" not in name}
    with pytest.raises(SettingsError, match="FINETUNE_DATA__TEST is not set"):
        load(nothing, rules=rules)
    fractions = {f"FINETUNE_DATA__{split}_FRACTION": "0" for split in ("TEST", "VALIDATION")}
    with pytest.raises(SettingsError, match="there is nothing to score"):
        load({**COMPLETE, **fractions}, rules=rules)
    load({**COMPLETE, **fractions, "FINETUNE_DATA__TEST": "a.csv"}, rules=rules)
