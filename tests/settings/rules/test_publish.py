"""A gate that could never judge, and what has no meaning beside it."""

from __future__ import annotations

from typing import Any

import pytest

from job.settings import Settings
from job.settings.rules import mistakes
from job.settings.rules.publish import LENGTHS
from job.tasks.lengths import length_range


def found(**sections: Any) -> list[str]:
    given = {"data": {"train": "rows.csv"}, **sections}
    return mistakes(Settings.model_validate(given), ["publish"])


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"publish": {"gate": "better"}, "data": {"test_fraction": 0}}, "judges by test rows"),
        (
            {"publish": {"floors": {"label=a": 0.5}}, "data": {"test_fraction": 0}},
            "FLOORS are of test rows",
        ),
        ({"publish": {"margin": 0.1, "gate": "better"}}, "MARGIN is for"),
        ({"publish": {"min_gain": 0.1}}, "MIN_GAIN is for"),
        ({"publish": {"slice_margin": 0.1}}, "no parts to look at"),
        ({"publish": {"floors": {"spam": 0.5}}}, "'spam' is not a part of the rows"),
        ({"publish": {"floors": {"channel=sms": 0.5}}}, "names the column 'channel'"),
        ({"publish": {"floors": {"length=3": 0.5}}}, "no part is called 'length=3'"),
        ({"publish": {"floors": {"label=a": 90}}}, "the metric goes up to 1"),
        ({"publish": {"margin": 1}}, "MARGIN=1: the metric goes up to 1"),
        ({"publish": {"min_gain": 2, "gate": "better"}}, "MIN_GAIN=2"),
        (
            {"publish": {"slice_margin": 100}, "evaluate": {"slices": ["length"], "metric": "bleu"}}
            | {"task": "translation"},
            "SLICE_MARGIN=100: bleu goes up to 100",
        ),
    ],
)
def test_a_mistake_and_its_fix(sections: dict[str, Any], said: str) -> None:
    (mistake,) = found(**sections)
    assert said in mistake


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"data": {"test_fraction": 0}},
        {"publish": {"gate": "always"}, "data": {"test_fraction": 0}},
        {"publish": {"gate": "better", "min_gain": 0.01}},
        {"publish": {"margin": 5}, "task": "summarization"},
        {"publish": {"margin": 5}, "task": "fill-mask"},
        {"publish": {"margin": 5, "floors": {"length=1": 7}}, "evaluate": {"metric": "mse"}},
        {
            "publish": {"floors": {"label=a": 0.5, "length=2-3": 0.1, "c=x=y": 1}},
            "evaluate": {"slices": ["c"]},
        },
    ],
)
def test_what_can_judge_is_taken(sections: dict[str, Any]) -> None:
    assert found(**sections) == []


def test_ranges_of_lengths_are_called_as_they_are_found() -> None:
    assert tuple(length_range(bits) for bits in range(len(LENGTHS))) == LENGTHS
