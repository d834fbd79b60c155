"""Nights of real messages against a champion of those before: poisoned ones are found, ordinary ones not."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from job.registry import champion
from job.store import open_store
from tests.support.runs import variables
from tests.support.samples import SHARED, finetune, tiny_bert, write_csv

Row = tuple[str, str]


def messages() -> list[Row]:
    """(text, label), in an order of their own."""
    lines = (SHARED / "sms-spam" / "sms.tsv").read_text(encoding="utf-8").splitlines()
    rows = [(text, label) for label, text in (line.split("\t", 1) for line in lines)]
    random.Random(0).shuffle(rows)
    return rows


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return messages()


@pytest.fixture(scope="module")
def place(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a champion of 2,400 messages."""
    folder = tmp_path_factory.mktemp("nights")
    tiny_bert(folder / "bert", [text for text, _ in rows[:2400]])
    write_csv(folder / "data" / "a.csv", rows[:2400])
    done = finetune("run", env=env(folder, "first"), cwd=folder, timeout=250)
    assert done.returncode == 0, done.stderr
    store = open_store(str(folder / "store"))
    champion.move(store, "m", lambda record: champion.by_hand(record, "first-a1", "test"))
    scores = json.loads(store.get("m/models/first-a1/eval_results.json"))
    assert scores["test_accuracy"] > 0.93
    return folder


def env(folder: Path, name: str, **more: str) -> dict[str, str]:
    own = {
        "TRAIN__LEARNING_RATE": "3e-3",
        "CHECKS__ACTION": "stop",
    }
    return variables(folder, name, **{**own, **more})


def night(folder: Path, name: str, new: Sequence[Row], **more: str) -> tuple[int, dict[str, Any]]:
    """The exit of preparing a night with a file of these rows, and what was found by name."""
    path = write_csv(folder / "new" / f"{name}.csv", new)
    given = {"DATA__TRAIN": json.dumps([str(folder / "data" / "*.csv"), str(path)]), **more}
    done = finetune("prepare", env=env(folder, name, **given), cwd=folder)
    record = json.loads((folder / f"store/m/runs/{name}/checks.json").read_text())
    assert record["champion"] == "first-a1"
    exceeding = {each["name"] for each in record["findings"] if each["exceeds"]}
    for each in exceeding:
        said = f"FINETUNE_CHECKS__{each.upper()}=" if done.returncode else f'"check": "{each}"'
        assert said in done.stderr
    return done.returncode, {
        "exceeding": exceeding,
        "measured": {each["name"]: each["value"] for each in record["findings"]},
        "left_out": record["left_out"],
    }


def flipped(rows: Sequence[Row], part: float) -> list[Row]:
    draw, other = random.Random(1), {"ham": "spam", "spam": "ham"}
    return [(text, other[label] if draw.random() < part else label) for text, label in rows]


def german(rows: Sequence[Row]) -> list[Row]:
    """As many German sentences under the same labels."""
    path = next((SHARED / "multi30k").glob("*.de*"))
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()
    return [(line, label) for line, (_, label) in zip(lines, rows, strict=False)]


def greek(rows: Sequence[Row]) -> list[Row]:
    """The same in letters that the champion has never seen."""
    letters = {ord("a") + i: ord("α") + i for i in range(25)}
    return [(text.lower().translate(letters), label) for text, label in rows]


@pytest.mark.slow
def test_a_poisoned_night_is_found_and_nothing_is_prepared(place: Path, rows: list[Row]) -> None:
    new = rows[2400:2900]
    before = set((place / "store/m/datasets").iterdir())
    nights = {
        "flipped": (flipped(new, 0.3), {"score_drop", "label_shift"}),
        "one-class": ([row for row in new if row[1] == "ham"], {"label_shift", "missing_labels"}),
        "copies": ([*new, *([new[7]] * 2000)], {"duplicates"}),
        "german": (german(new), {"score_drop", "length_shift"}),
        "greek": (greek(new), {"unknown_tokens"}),
        "typing": ([*new, ("free entry", "Spam")], {"unseen_labels"}),
        "again": (rows[:500], {"known"}),
    }
    for name, (poisoned, expected) in nights.items():
        code, found = night(place, name, poisoned)
        assert code == 65, name
        assert expected <= found["exceeding"], (name, found)
    assert set((place / "store/m/datasets").iterdir()) == before


@pytest.mark.slow
def test_an_ordinary_night_is_not_found_fault_with(place: Path, rows: list[Row]) -> None:
    for name, new in (("few", rows[4000:4020]), ("many", rows[3100:3700])):
        code, found = night(place, name, new)
        assert (code, found["exceeding"]) == (0, set()), name
        assert len(found["measured"]) == 8
    code, found = night(place, "warned", flipped(rows[2400:2900], 0.3), CHECKS__ACTION="warn")
    assert code == 0
    assert "score_drop" in found["exceeding"]
    # the data set is there now: what was found before still stops, and a higher bound lets it through
    again, _ = night(place, "warned", flipped(rows[2400:2900], 0.3))
    assert again == 65
    loose = {"CHECKS__SCORE_DROP": "0.9", "CHECKS__LABEL_SHIFT": "0.9"}
    last, found = night(place, "warned", flipped(rows[2400:2900], 0.3), **loose)
    assert (last, found["exceeding"]) == (0, set())
