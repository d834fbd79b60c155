"""The card says what was done to the texts, whatever setting did it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from job.reporting.card import CardFacts, preparation, write_card
from job.settings import Clean, Encode, Settings, recorded
from job.settings.metrics import of_class, of_slice
from tests.support.samples import settings_of

LABELS = ("weighted", "spam")
SETTINGS = settings_of(
    clean=Clean(lowercase=True, unescape_html=True, derive={"text": "{{title}} | {{body}}"}),
    encode=Encode(prefix="summarize: "),
)


def facts(settings: Settings, **more: Any) -> CardFacts:
    counts = {"rows": 10, "truncated": 1}
    given: dict[str, Any] = {
        **dict.fromkeys(("name", "run_id", "version", "uri", "base_model", "fingerprint"), "m"),
        "task": "text-classification",
        "base_is_hub_id": False,
        "license": None,
        "labels": LABELS,
        "classes": LABELS,
        "regression": False,
        "pairs": False,
        "profile": {"splits": {"train": counts, "test": counts}, "kept_for_their_label": 3},
        "files": (("train", "a.csv"),),
        "settings": recorded(settings),
        "max_length": 64,
        "steps": 1,
        "best_step": None,
        "metric": "f1",
        "made_with": "torch 2, 1 process(es)",
        **more,
    }
    return CardFacts(**given)


def card(folder: Path, settings: Settings, **more: Any) -> str:
    results = {"test_f1": 0.5, "test_f1_weighted": 0.4}
    for label in LABELS:
        for metric in ("precision", "recall", "f1", "support"):
            results[f"test_{of_class(metric, label)}"] = 0.25
    write_card(folder / "README.md", facts(settings, **more), results)
    return (folder / "README.md").read_text()


def test_what_was_done_to_the_texts_is_said(tmp_path: Path) -> None:
    text = card(tmp_path, SETTINGS)
    assert r"| clean.lowercase | true | Lower-case the text roles |" in text
    assert r"| clean.unescape\_html | true | Turn" in text
    assert r'| clean.derive | \{"text": "\{\{title\}\} \| \{\{body\}\}"\} |' in text
    assert r'| encode.prefix | "summarize: " |' in text
    assert r"| clean.strip | true |" in text
    assert "3 of the rows that would have been held out were trained on" in text
    assert "it sees the beginning only" in text
    assert "it sees the end only" in card(tmp_path, SETTINGS, cut_side="left")


def test_a_class_and_an_average_of_one_name_are_both_in_it(tmp_path: Path) -> None:
    text = card(tmp_path, SETTINGS)
    assert r"| f1\_weighted | 0.4000 |" in text
    assert "| weighted | 0.2500 | 0.2500 | 0.2500 | 0.25 |" in text


def test_parts_of_the_rows_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    results = {"test_f1": 0.5, "test_samples": 10, "eval[length=1]_f1": 0.9}
    for part, score in (("length=2-3", 0.25), ("c=a|b]_x", 0.75)):
        results |= {of_slice("test", part, "f1"): score, of_slice("test", part, "samples"): 4}
    write_card(tmp_path / "README.md", facts(SETTINGS), results)
    text = (tmp_path / "README.md").read_text()
    assert "### Parts of the rows (test)" in text
    assert "| length=2-3 | f1 | 0.2500 | 4 |" in text
    assert r"| c=a\|b\]\_x | f1 | 0.7500 | 4 |" in text
    assert "0.9" not in text
    head = text.partition("# m")[0]
    assert "length" not in head
    assert "Parts of the rows" not in card(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    "name", [n for n in Clean.model_fields if n not in ("strip", "drop_empty")]
)
def test_every_setting_of_clean_is_said_once_it_is_in_effect(name: str) -> None:
    values: dict[str, Any] = {"rename": {"a": "b"}, "derive": {"a": "b"}, "unique": ["id"]}
    values |= {"normalize_unicode": "NFC", "sample": 0.5, "min_words": 2, "max_words": 3}
    values["sort_by"] = "id"
    clean = Clean.model_validate({name: values.get(name, True)})
    assert f"clean.{name}" in [
        said for said, _, _ in preparation(recorded(settings_of(clean=clean)))
    ]
    assert f"clean.{name}" not in [said for said, _, _ in preparation(recorded(settings_of()))]
