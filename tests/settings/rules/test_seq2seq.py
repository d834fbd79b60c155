"""Mistakes in the settings of summarization and translation."""

from __future__ import annotations

import pytest

from tests.support.settings import loaded, refused


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DATA__TRAIN_TARGET": '["a.en", "b.en"]'}, "names 1 place.*_TARGET 2"),
        ({"DATA__VALIDATION_TARGET": "a.en"}, "VALIDATION names 0 place"),
        (
            {"DATA__TRAIN_TARGET": '[{"uri": "a.en", "weight": 2}]'},
            "give it to FINETUNE_DATA__TRAIN",
        ),
        ({"DATA__TRAIN_TARGET": "a.en", "DATA__FORMAT": "csv"}, "FINETUNE_DATA__FORMAT=csv"),
        ({"EVALUATE__GENERATION__LENGTH_PENALTY": "2"}, "NUM_BEAMS"),
        (
            {
                "EVALUATE__GENERATION__MIN_NEW_TOKENS": "9",
                "EVALUATE__GENERATION__MAX_NEW_TOKENS": "8",
            },
            "MIN_NEW_TOKENS=9 is above MAX_NEW_TOKENS=8",
        ),
        ({"EVALUATE__METRIC": "rougeL"}, "use one of loss, bleu, chrf"),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, str], said: str) -> None:
    refused(said, TASK="translation", **given)


@pytest.mark.parametrize(
    "name",
    ["DATA__TRAIN_TARGET", "ENCODE__PREFIX", "ENCODE__SOURCE_LANGUAGE", "ENCODE__TARGET_LANGUAGE"],
)
def test_what_other_tasks_do_not_read_is_refused(name: str) -> None:
    refused(f"FINETUNE_{name} has no meaning for fill-mask", TASK="fill-mask", **{name: "x"})
    loaded(TASK="summarization", **{name: "x"})
