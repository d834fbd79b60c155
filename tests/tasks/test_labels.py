"""Labels: what is one class, what is several, and what is neither."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from job.errors import DataError
from job.tasks.labels import (
    LIST,
    ONE,
    TWO,
    alike,
    as_list,
    classes,
    fault_of,
    is_number,
    kind_of,
    listed,
    ordered,
    refuse_unseen,
    words_of,
)
from tests.support.samples import ROOT


@pytest.mark.parametrize(
    ("label", "found", "kind"),
    [
        ("spam", ["spam"], ONE),
        ("[b]", ["[b]"], ONE),
        ("(1) Sales", ["(1) Sales"], ONE),
        ("{x}", ["{x}"], ONE),
        ('[" a", "b", "a "]', ["a", "b"], LIST),
        ("[3, 7]", ["3", "7"], LIST),
        ("[]", [], LIST),
        ("[true]", ["true"], LIST),
        ("[0, 1]", ["0", "1"], TWO),
        ("[true, false]", ["true", "false"], TWO),
    ],
)
def test_a_label_is_one_class_or_a_list(label: str, found: list[str], kind: str) -> None:
    assert fault_of(label, lists=None) is None
    assert (classes(label), kind_of(label)) == (found, kind)
    assert bool(fault_of(label, lists=True)) is (kind == ONE)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("['joy', 'anger']", "is not a list as JSON has it"),
        ("['joy' 'anger']", "is not a list as JSON has it"),
        ("['joy'\\n 'anger']", "is not a list as JSON has it"),
        ("[0 1 0]", "is not a list as JSON has it"),
        ("[ 0.1  0.9]", "is not a list as JSON has it"),
        ("[0 1 ... 0 0]", "is not a list as JSON has it"),
        ("[[0 1]\n [1 0]]", "is not a list as JSON has it"),
        ("[joy, anger]", "is not a list as JSON has it"),
        ("('joy', 'anger')", "is not a list as JSON has it"),
        ("{'joy'}", "is not a list as JSON has it"),
        ("{'joy': 1}", "is not a list as JSON has it"),
        ('{"joy": true}', "is not a list as JSON has it"),
        ("array(['joy'], dtype=object)", "is not a list as JSON has it"),
        ("[" * 100_000, "is not a list as JSON has it"),
        (r'["\ud800"]', "is not a list as JSON has it"),
        ('["joy", null]', "holds a null"),
        ("[NaN]", "holds a null"),
        ('[["joy"]]', "holds a list or an object"),
        ('[{"name": "joy"}]', "holds a list or an object"),
        ('["joy", " "]', "holds an empty text"),
        ("[0, 1, 1]", "is a vector"),
        ("[true, false, false]", "is a vector"),
        ('["0", "1", "0"]', "is a vector"),
        ("[0.0, 1.0, 0.0]", "is a vector"),
        ("[0.3, 0.7]", "is a vector"),
    ],
)
def test_what_may_be_meant_otherwise_is_questioned(label: str, said: str) -> None:
    assert said in str(fault_of(label, lists=None))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *((text, True) for text in ("1", "-1.5e3", "3.4028234663852886e38", " 2 ", "0")),
        *((text, False) for text in ("1e39", "-4e38", "nan", "inf", "1_000", "1,5", "", "x")),
    ],
)
def test_a_number_is_one_that_float32_holds(text: str, *, number: bool) -> None:
    assert is_number(text) is number


def test_labels_that_are_alike_are_found_together() -> None:
    written = [
        "1",
        "1.0",
        "True",
        "true",
        "ham",
        "Ham",
        "not_spam",
        "not-spam",
        "café",
        "cafe\u0301",
    ]
    others = ["a", "b", "C", "C++", "2", "-1", "x\u200b", "x"]
    assert alike(dict.fromkeys(written + others, 1)) == [
        *([["1", "1.0"], ["Ham", "ham"], ["True", "true"], ["cafe\u0301", "café"]]),
        *([["not-spam", "not_spam"], ["x", "x\u200b"]]),
    ]
    with pytest.raises(DataError, match=r"test holds labels .*: 'Ham' \(train has 'ham'\), 'z'"):
        refuse_unseen({"ham": 3}, {"test": {"Ham": 1, "z": 1}})


def test_a_null_is_not_a_word_and_an_empty_list_has_none() -> None:
    assert listed('["a", 1995, "a"]') == ["a", "1995", "a"]
    assert listed('["a", null]') is None
    assert listed('["a", ["b"]]') is None
    assert listed("[" * 100_000) is None
    assert words_of("[]") == []
    assert words_of("two words") == ["two", "words"]
    assert words_of("[Note] see below") == ["[Note]", "see", "below"]
    assert words_of("['EU' 'rejects']") is None
    assert words_of('["EU", null]') is None
    assert as_list("[") is None


def test_the_order_of_labels_does_not_depend_on_the_hash_seed() -> None:
    names = [f"{sign}{zeros}{n}" for n in range(9) for sign in ("", "+") for zeros in ("", "0")]
    program = f"from job.tasks.labels import ordered; print(ordered({names!r}, ()))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert found == {f"{ordered(names, ())}\n".encode()}
