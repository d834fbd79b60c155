"""The gate's rows: never trained on, whatever becomes of files and settings; and which of them judge."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from job.data import artifacts
from job.data.arrow import Writer
from job.data.artifacts import GATE, KEY, KEYS, SPLITS
from job.errors import DataError, InputMissing
from job.gate.parts import ROWS
from job.gate.rows import CORRECTED, HELD_OUT, LEARNED, OTHER_READING, ROLLED_BACK, learned
from job.stages.clean.splits import key_of
from job.store import layout
from job.store.commit import commit, fetch
from tests.gate.nights import Nights, Row, read

HALF = {"test_fraction": 0.5, "validation_fraction": 0}


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"text": f"Row &amp; number {i}", "label": "ab"[i % 2], "who": f"p{i // 3}"}
        for i in range(first, first + count)
    ]


def keys_of(path: Path) -> set[int]:
    return {row[KEY] for row in read(path)}


# -- what is held back ------------------------------------------------------------------------------

VARIANTS = (
    str,
    str.upper,
    lambda text: f"  {text}\t",
    lambda text: text.replace(" ", "  "),
    html.unescape,
)
PLACES = st.lists(
    st.sampled_from(["train", "train", "train", "validation", "test"]), min_size=24, max_size=24
)
FRACTIONS = st.sampled_from([0.0, 0.1, 0.3, 0.5])
NIGHT = st.fixed_dictionaries(
    {
        "places": st.one_of(st.just(["train"] * 24), PLACES),
        "variants": st.lists(st.integers(0, len(VARIANTS) - 1), min_size=24, max_size=24),
        "data": st.fixed_dictionaries(
            {"validation_fraction": FRACTIONS, "test_fraction": FRACTIONS, "split_by": st.sampled_from([None, "who"])}
        ),
        "clean": st.fixed_dictionaries(
            {"unescape_html": st.booleans(), "lowercase": st.booleans(), "strip": st.booleans(), "deduplicate": st.booleans()}
        ),
        "promoted": st.booleans(),
    }
)  # fmt: skip


@hypothesis(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(NIGHT, min_size=2, max_size=4))
def test_a_row_of_the_gate_is_never_trained_on_or_validated_with_again(
    chosen: list[Mapping[str, Any]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        nights, texts, stored, groups = Nights(Path(folder)), set[int](), set[int](), set[str]()
        for each in chosen:
            given_rows = [
                {**row, "text": VARIANTS[variant](row["text"])}
                for row, variant in zip(rows(24), each["variants"], strict=True)
            ]
            files: dict[str, list[Row]] = {split: [] for split in SPLITS}
            for row, place in zip(given_rows, each["places"], strict=True):
                files[place].append(row)
            try:
                night = nights.night(
                    files["train"],
                    files["validation"],
                    files["test"],
                    data=each["data"],
                    clean=each["clean"],
                    promoted=False,
                )
            except DataError as error:  # the gate has left nothing to train on, or to validate with
                assert any(
                    said in error.message for said in ("are left", "were held out", "one class")
                )
                continue
            learned = night.given("train", "validation")
            assert not stored & keys_of(night.dataset.folder / KEYS)
            assert not texts & {key_of(row["text"]) for row in learned}
            if each["data"]["split_by"]:
                assert not groups & {row["who"] for row in learned}
            if each["promoted"]:
                nights.promote(night, f"v{len(nights.champion.gate)}")
                texts |= {key_of(row["text"]) for row in night.given("test")}
                stored |= keys_of(night.dataset.folder / GATE)
                if each["data"]["split_by"]:
                    groups |= {row["who"] for row in night.given("test")}


def test_another_spelling_of_a_text_that_the_gate_has_is_held_back_too(tmp_path: Path) -> None:
    """It is the same text only as long as CLEAN unescapes."""
    nights, none = Nights(tmp_path), {"test_fraction": 0.0, "validation_fraction": 0.0}
    escaped = rows(3)
    plain = [{**row, "text": html.unescape(row["text"])} for row in escaped]
    nights.night(rows(9, 30), test=plain, data=none)
    nights.night(rows(9, 30), test=escaped, data=none, clean={"unescape_html": True})
    later = nights.night(rows(9, 30) + escaped + plain, data=none)
    assert not {*later.texts("train")} & {row["text"] for row in (*escaped, *plain)}
    assert nights.promote(later, "later") is None


def test_a_group_that_is_named_later_is_held_back_too(tmp_path: Path) -> None:
    """The gate's rows came without groups; a later night has the same rows with theirs."""
    nights = Nights(tmp_path)
    none = {"test_fraction": 0.0, "validation_fraction": 0.0}
    nights.night(rows(9, 30), test=rows(3), data=none)
    nights.night(rows(9, 30), test=rows(3), data={**none, "split_by": "who"})
    same_person = [{"text": "another text", "label": "a", "who": "p0"}]
    later = nights.night(rows(9, 30) + same_person, data={**none, "split_by": "who"})
    assert not {row["who"] for row in later.given("train", "validation")} & {"p0"}
    assert nights.promote(later, "later") is None, "the gate knows all of it"


def test_answers_that_change_by_the_dozen_are_no_corrections(tmp_path: Path) -> None:
    """A night that spoils its test rows alone is promoted, and must not spoil the judges of the next."""
    nights = Nights(tmp_path)
    none = {"test_fraction": 0.0, "validation_fraction": 0.0}
    nights.night(rows(9, 90), test=rows(60), data=none)
    flipped = [{**row, "label": "ab"[row["label"] == "a"]} for row in rows(60)]
    spoiled = nights.night(
        rows(9, 90), test=[*flipped[:20], *rows(60)[20:], *rows(3, 200)], data=none
    )
    judges = {row["text"]: row["label"] for row in read(part_of(nights, 0))}
    now = read(nights.judging(spoiled.settings).cleaned.tables["test"])
    assert {row["text"]: row["label"] for row in now if row["text"] in judges} == judges
    assert len(now) == 63, "what the gate lacked it has now"
    few = [*flipped[:5], *rows(60)[5:]]
    nights.night(rows(9, 90), test=few, data=none)
    now = read(nights.judging(spoiled.settings).cleaned.tables["test"])
    corrected = {row["text"]: row["label"] for row in now}
    assert sum(corrected[text] != label for text, label in judges.items()) == 5


def test_what_the_gate_takes_is_counted(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    first = nights.night(rows(40), data=HALF)
    gate = first.texts("test")
    assert 5 < len(gate) < 35
    later = nights.night(rows(40), rows(40)[:6], data={"test_fraction": 0.0})
    in_validation = sum(row["text"] in gate for row in rows(40)[:6])
    assert later.dropped() == {"in the gate": len(gate), "in validation": 6 - in_validation}
    assert later.dropped("validation") == {"in the gate": in_validation}
    crossed = later.cleaned.profile["cross_split"]
    assert (crossed["train_in_gate"], crossed["validation_in_gate"]) == (len(gate), in_validation)
    assert not set(gate) & set(later.texts("train", "validation"))
    assert "train_in_gate" not in first.cleaned.profile["cross_split"]


def test_validation_rows_that_are_all_in_the_gate_end_the_night_with_what_to_do(
    tmp_path: Path,
) -> None:
    nights, same = Nights(tmp_path), rows(10, first=100)
    nights.night(rows(40), same, same)
    with pytest.raises(
        DataError, match=r"no validation rows are left .*in the gate 10\)"
    ) as caught:
        nights.night(rows(40), same, same)
    assert "other rows than the tests of earlier nights" in caught.value.hint


def test_test_rows_stay_though_they_are_in_the_gate(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    first = nights.night(rows(40), data=HALF)
    again = nights.night(rows(40), data=HALF, promoted=False)
    assert again.texts("test") == first.texts("test") and again.texts("train") == first.texts(
        "train"
    )


def test_a_label_that_only_the_gate_has_does_not_end_the_night(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    rare = [{"text": f"rare {i}", "label": "rare"} for i in range(12)]
    first = nights.night([*rows(40), *rare], data=HALF)
    left = [row for row in first.given("test") if row["label"] == "rare"]
    assert 0 < len(left) < 12
    later = nights.night([*rows(40), *left], data=HALF, promoted=False)
    assert {row["label"] for row in later.given("train", "validation", "test")} == {"a", "b"}
    assert later.dropped()["in the gate"] == len(left)
    # a row of it that is not the gate's is learned from, as where nothing is held back
    more = nights.night(
        [*rows(40), *rare], data={"test_fraction": 0.9, "validation_fraction": 0}, promoted=False
    )
    learned = [row for row in more.given("train") if row["label"] == "rare"]
    assert learned and not [row for row in learned if row in left]


def test_a_part_that_is_gone_is_an_error_and_what_to_do(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    night = nights.night(rows(40), data=HALF)
    nights.store.delete([f"{layout.gate('m', nights.champion.gate[0])}/manifest.json"])
    for ask in (nights.held_back, nights.judging):
        with pytest.raises(InputMissing, match="gone or damaged") as caught:
            ask(night.settings)
        assert "put them back" in caught.value.hint


# -- which rows judge -------------------------------------------------------------------------------


def test_the_rows_are_kept_and_judge_as_they_were_given(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    first = nights.night(
        [{**row, "text": f" {row['text']} "} for row in rows(40)],
        data=HALF,
        clean={"unescape_html": True, "lowercase": True},
        slices=["who", "label", "length"],
    )
    part = read(first.dataset.folder / GATE)
    assert [row["text"] for row in part] == first.texts("test")
    assert {"text", "label", "slice who", "__given", "__group", KEY} == set(part[0])
    assert all(row["__given"] is False and row["__group"] is None for row in part)
    shown = read(first.dataset.folder / "test.rows.arrow")
    assert (
        shown[0]["text"].startswith("row & number")
        and shown[0]["slice who"] == part[0]["slice who"]
    )
    now = nights.judging(replace_clean(first.settings, lowercase=True))
    judged = read(now.cleaned.tables["test"])
    for name in ("text", "label", "slice who", KEY):  # each model cleans them as it was trained to
        assert [row[name] for row in judged] == [row[name] for row in part]
    assert (now.rows, now.left_out) == (len(part), {})


def part_of(nights: Nights, number: int) -> Path:
    name = nights.champion.gate[number]
    folder = nights.folder / "part"
    fetch(nights.store, layout.gate("m", name), folder)
    return folder / ROWS


def replace_clean(settings: Any, **clean: Any) -> Any:
    return settings.model_copy(update={"clean": type(settings.clean)(**clean)})


def test_a_corrected_label_replaces_and_nothing_new_is_no_part(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    first = nights.night(rows(40), data=HALF)
    texts = first.texts("test")
    assert nights.promote(nights.night(rows(40), data=HALF, promoted=False), "same") is None
    corrected = [
        {**row, "text": row["text"].upper(), "label": "new"} if row["text"] == texts[0] else row
        for row in [*rows(40), {"text": "another new one", "label": "new"}]
    ]
    night = nights.night(corrected, data=HALF)
    assert len(nights.champion.gate) == 2
    assert [row["label"] for row in read(part_of(nights, 1))] == ["new"]
    found = nights.judging(night.settings)
    labels = {key_of(row["text"]): row["label"] for row in read(found.cleaned.tables["test"])}
    assert labels[key_of(texts[0])] == "new" and found.rows == len(texts)
    assert found.left_out == {CORRECTED: 1}


def test_parts_of_a_version_that_was_rolled_back_from_hold_back_and_do_not_judge(
    tmp_path: Path,
) -> None:
    nights = Nights(tmp_path)
    first = nights.night(rows(30), data=HALF)
    second = nights.night(rows(60), data=HALF)
    new = set(second.texts("test")) - set(first.texts("test"))
    assert len(nights.champion.gate) == 2 and new
    nights.champion = replace(nights.champion, withdrawn=[nights.champion.gate[1]])
    found = nights.judging(second.settings)
    assert {row["text"] for row in read(found.cleaned.tables["test"])} == set(first.texts("test"))
    assert found.left_out == {ROLLED_BACK: len(new)}
    third = nights.night(
        rows(60), data={"test_fraction": 0.0, "validation_fraction": 0.0}, promoted=False
    )
    assert not new & set(third.texts("train"))
    # promoted once more, with another night's model, they judge again
    nights.night(rows(60), data=HALF)
    assert nights.judging(second.settings).rows == len(second.texts("test"))


def test_where_test_rows_are_given_they_alone_judge(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    first = nights.night(rows(30), data=HALF)
    given_rows = rows(6, first=100)
    second = nights.night(rows(30), test=given_rows, data=HALF)
    found = nights.judging(second.settings)
    assert {row["text"] for row in read(found.cleaned.tables["test"])} == {
        r["text"] for r in given_rows
    }
    assert found.left_out == {HELD_OUT: len(first.texts("test"))}
    none = nights.judging(replace_clean(second.settings, max_words=3))
    assert (none.rows, none.left_out["too many words"]) == (0, 6)
    both = nights.judging(first.settings)
    assert both.rows == len(first.texts("test")) + 6 and not both.left_out


def test_rows_that_a_model_has_learned_from_do_not_judge_it(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    small = {"test_fraction": 0.3, "validation_fraction": 0}
    first, second = nights.night(rows(60), data=small), nights.night(rows(60), data=HALF)
    gate = set(second.texts("test"))
    trained_on = gate & set(first.texts("train"))
    assert trained_on and gate - trained_on
    for night in (first, second):
        files = {name: night.dataset.folder / name for name in (KEYS, layout.PROFILE)}
        commit(nights.store, layout.dataset("m", night.name), files, attempt=1, meta={})
    seen = learned(nights.store, "m", [first.name, second.name, "gone"], tmp_path / "learned")
    found = nights.judging(second.settings, seen)
    assert {row["text"] for row in read(found.cleaned.tables["test"])} == gate - trained_on
    assert found.left_out == {LEARNED: len(trained_on)}
    # a model that goes on from another has learned what that one has
    keys = pa.array(sorted(key_of(text) for text in trained_on), pa.uint64())
    with Writer(tmp_path / artifacts.LEARNED) as writer:
        writer.write(pa.RecordBatch.from_arrays([keys], names=[KEY]))
    files[artifacts.LEARNED] = tmp_path / artifacts.LEARNED
    commit(nights.store, layout.dataset("m", "later"), files, attempt=1, meta={})
    seen = learned(nights.store, "m", ["later"], tmp_path / "later")
    assert nights.judging(second.settings, seen).left_out == {LEARNED: len(trained_on)}


def test_rows_of_another_reading_are_left_out_and_counted(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    first = nights.night(rows(30), data=HALF)
    count = len(first.texts("test"))
    other = replace_clean(first.settings, derive={"text": "{{ text }}!"})
    found = nights.judging(other)
    assert (found.rows, found.left_out) == (0, {OTHER_READING: count})
    assert "test" not in found.cleaned.tables
    assert nights.judging(replace_clean(other, rename={"body": "text"})).left_out == found.left_out
    slices = replace_clean(first.settings, derive={"lang": "{{ who }}"}, rename={"a": "b"})
    assert nights.judging(slices).rows == count  # what makes no role is nothing to them
    shorter = nights.judging(replace_clean(first.settings, max_words=3))
    assert (shorter.rows, shorter.left_out) == (0, {"too many words": count})
