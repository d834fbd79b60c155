"""Splits that do not move, duplicates, leaks, samples and weights."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.data.arrow import stream
from job.settings import Clean, Data
from job.stages.clean import clean
from job.stages.clean.splits import (
    DROPPED,
    TEST,
    TRAIN,
    VALIDATION,
    copies,
    decide,
    drawn,
    held_out,
    key_of,
    keys_of,
)
from job.stages.clean.text import canonical, cleaned
from job.stages.fetch import fetch, resolve_inputs
from job.tasks.lengths import word_counts
from job.tasks.text_classification import TextClassification
from tests.support.samples import settings_of

TEXTS = [f"text number {i}" for i in range(20_000)]
KEYS = keys_of([TEXTS])


def splits(folder: Path, sources: Any, seed: int = 1, **chosen: Any) -> dict[str, list[str]]:
    data = Data(train=sources, **chosen.pop("data", {}))
    raw = fetch(data, resolve_inputs(data), folder / "fetch")
    rules = TextClassification.create(settings_of(data=data))
    settings = settings_of(clean=Clean(**chosen), data=data, seed=seed)
    rows = clean(settings, rules, raw, folder / "clean")
    return {
        split: [text for batch in stream(path) for text in batch.column("text").to_pylist()]
        for split, path in rows.tables.items()
    }


def write(path: Path, texts: list[str], **more: list[Any]) -> str:
    rows = [
        {"text": text, "label": "x", **{name: values[i] for name, values in more.items()}}
        for i, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_key_never_changes() -> None:
    # these very numbers: with others, the splits of everybody's data would move
    assert key_of("Hello  World") == KEY_OF_HELLO
    assert key_of("a", "b") != key_of("b", "a") != key_of("a b")


KEY_OF_HELLO = 0x459B883F933618BC


@pytest.mark.parametrize("other", ["hello world", " HELLO\tWORLD\n", "\uff28ello world"])
def test_texts_that_are_equal_up_to_case_and_space_share_a_key(other: str) -> None:
    assert key_of(other) == key_of("Hello  World")


@given(st.text())
def test_the_canonical_form_is_its_own(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.1), (0.0, 0.3), (0.5, 0.4), (0.25, 0.0)])
def test_fractions_hold(validation: float, test: float) -> None:
    codes = held_out(KEYS, validation, test)
    shares = [float((codes == code).mean()) for code in (TRAIN, VALIDATION, TEST)]
    assert shares == pytest.approx([1 - validation - test, validation, test], abs=0.015)


def test_one_fraction_moves_no_row_of_the_other() -> None:
    before, after = held_out(KEYS, 0.1, 0.1), held_out(KEYS, 0.3, 0.1)
    assert ((before == TEST) == (after == TEST)).all()
    assert (after[before == VALIDATION] == VALIDATION).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_appending_and_reordering_rows_moves_none(texts: list[str], rng: random.Random) -> None:
    first = dict(zip(texts, held_out(keys_of([texts]), 0.2, 0.3), strict=True))
    more = [*texts, *TEXTS[:20]]
    rng.shuffle(more)
    second = dict(zip(more, held_out(keys_of([more]), 0.2, 0.3), strict=True))
    assert {text: second[text] for text in first} == first


def test_appending_and_reordering_files_moves_no_row(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.jsonl", TEXTS[:300]), write(tmp_path / "b.jsonl", TEXTS[300:600])
    before = splits(tmp_path, [one])
    after = splits(tmp_path, [two, one])
    assert set(before) == set(after) == {"train", "validation", "test"}
    assert sum(map(len, after.values())) == 600
    for split, texts in before.items():
        assert set(texts) <= set(after[split])


def test_a_group_stays_together(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", TEXTS[:900], who=[f"p{i % 90}" for i in range(900)])
    found = splits(tmp_path, [path], data={"split_by": "who"})
    groups = {split: {int(t.split()[-1]) % 90 for t in texts} for split, texts in found.items()}
    assert sum(map(len, groups.values())) == 90 and len(groups) == 3


def test_duplicates_keep_the_first_and_count_conflicts() -> None:
    keys = keys_of([["a", "b", "A ", "a", "b", "c"]])
    labels = np.array([1, 1, 2, 1, 1, 1], np.uint32)
    codes = np.array([TRAIN] * 6, np.uint8)
    decision = decide(codes.copy(), keys, labels, Clean(deduplicate=True), 1)
    assert decision.codes.tolist() == [TRAIN, TRAIN, DROPPED, DROPPED, DROPPED, TRAIN]
    assert (decision.duplicates["train"], decision.conflicting["train"]) == (3, 1)
    assert decision.dropped["train"] == {"duplicate": 3}
    kept = decide(codes.copy(), keys, labels, Clean(), 1)
    assert (kept.codes == codes).all() and kept.duplicates["train"] == 3


def test_what_is_held_out_is_not_trained_on() -> None:
    keys = keys_of([["a", "b", "c", "d", "b", "d", "c", "d"]])
    codes = np.array([TRAIN] * 4 + [VALIDATION] * 2 + [TEST] * 2, np.uint8)
    decision = decide(codes, keys, np.zeros(8, np.uint32), Clean(), 1)
    assert decision.codes.tolist() == [TRAIN, DROPPED, DROPPED, DROPPED, 1, 1, 2, 2]
    assert decision.dropped["train"] == {"in validation": 1, "in test": 2}
    assert decision.cross == {
        "train_in_validation": 2,
        "train_in_test": 2,
        "validation_in_test": 1,
    }


@pytest.mark.parametrize(("sample", "rows"), [(50, 50), (0.25, 500), (5_000, 2_000)])
def test_a_sample_goes_by_seed_and_text(sample: float, rows: int) -> None:
    def chosen(order: Any, seed: int) -> set[int]:
        keys = KEYS[:2_000][order]
        codes = decide(
            np.zeros(2_000, np.uint8), keys, np.zeros(2_000, np.uint32), Clean(sample=sample), seed
        ).codes
        return set(keys[codes == TRAIN].tolist())

    straight = chosen(np.arange(2_000), 1)
    assert len(straight) == pytest.approx(rows, rel=0.1)
    assert chosen(np.arange(2_000)[::-1], 1) == straight
    assert rows == 2_000 or chosen(np.arange(2_000), 2) != straight


def test_a_weight_is_how_often_a_row_stands_in_training() -> None:
    for weight in (0.5, 1.0, 2.25):
        times = copies(KEYS, np.full(len(KEYS), weight))
        assert times.mean() == pytest.approx(weight, abs=0.02)
        assert set(times.tolist()) <= {int(weight), int(weight) + 1}
    draws = drawn(KEYS, 1) >> np.uint64(11)
    assert float((draws / 2**53).mean()) == pytest.approx(0.5, abs=0.02)


def test_weights_concern_training_rows_alone(tmp_path: Path) -> None:
    one, two = (
        write(tmp_path / "a.jsonl", TEXTS[:500]),
        write(tmp_path / "b.jsonl", TEXTS[500:1000]),
    )
    found = splits(tmp_path, [{"uri": one, "weight": 2}, {"uri": two, "weight": 0.5}])
    first = [text for text in found["train"] if int(text.split()[-1]) < 500]
    second = [text for text in found["train"] if int(text.split()[-1]) >= 500]
    assert len(first) == 2 * len(set(first)) and len(second) == len(set(second))
    assert len(second) == pytest.approx(200, abs=50)
    assert len(found["test"]) == len(set(found["test"]))


def test_texts_stay_null() -> None:
    settings = Clean(unescape_html=True, lowercase=True, normalize_unicode="NFC")
    assert cleaned([None, " A&amp;B\u0301"], settings) == [None, "a&b\u0301"]
    assert word_counts([None, "", "a  b\nc"]) == [0, 0, 3]
