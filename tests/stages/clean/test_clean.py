"""The clean stage: columns to roles, texts cleaned, bad rows kept, splits written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from job.data.arrow import schema_of
from job.data.artifacts import FILE, GROUP, KEY, LINE
from job.errors import DataError, SettingsError, Stopped
from job.runtime.stop import polling
from job.settings import Data
from job.stages.clean import clean
from job.stages.clean.splits import key_of
from job.stages.fetch import fetch, resolve_inputs
from job.tasks.text_classification import TextClassification
from tests.support.cleaning import counts, jsonl, labelled, rows_of, run, run_raw, texts_of
from tests.support.samples import SHARED, settings_of

COLUMNS = ["text", "label", FILE, LINE, KEY, GROUP]
"""Of a classifier's training rows."""


def nothing() -> None:
    pass


def test_columns_are_renamed_derived_and_picked(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        {"title": "T", "body": "B", "stars": 5, "other": 1},
        {"title": None, "body": "C", "stars": 1},
    )
    settings = {
        "rename": {"stars": "label"},
        "derive": {"both": "{{title}} {{body|lower}}", "text": "{{both|trim}}!"},
    }
    rows = run(tmp_path, settings, train=path)
    assert schema_of(rows.tables["train"]).names == COLUMNS
    assert [(r["text"], r["label"], r["__line"]) for r in rows_of(rows)] == [
        ("T b!", "5", 1),
        ("c!", "1", 2),
    ]


def test_a_column_that_some_rows_lack_is_null_in_them(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "a"}] * 6_000
    path = jsonl(tmp_path / "a.jsonl", *rows, {"text": "b", "label": "x"})
    with pytest.raises(DataError, match=r"6,000 of 6,001 train rows .*a\.jsonl:1: no label"):
        run(tmp_path, train=path)
    assert texts_of(run(tmp_path, train=path, max_bad_fraction=0.9999)) == ["b"]


def test_a_missing_column_names_setting_file_columns_and_a_guess(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "a", "lable": "x"})
    with pytest.raises(DataError) as caught:
        run(tmp_path, train=path)
    message = str(caught.value)
    for part in (
        "a.jsonl",
        "'label' for the role label",
        "did you mean 'lable'",
        "'text', 'lable'",
    ):
        assert part in message
    assert "FINETUNE_DATA__COLUMNS__LABEL" in message and caught.value.exit_code == 65


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        ({"rename": {"nope": "x"}}, {}, "FINETUNE_CLEAN__RENAME"),
        ({"rename": {"id": "text"}}, {}, "two columns 'text'"),
        ({"derive": {"x": "{{nope}}"}}, {}, r"FINETUNE_CLEAN__DERIVE \(x\)"),
        ({"unique": "nope"}, {}, "FINETUNE_CLEAN__UNIQUE"),
        ({"sort_by": "-nope"}, {}, "FINETUNE_CLEAN__SORT_BY"),
        ({}, {"split_by": "nope"}, "FINETUNE_DATA__SPLIT_BY"),
    ],
)
def test_every_setting_that_names_a_missing_column(
    tmp_path: Path, settings: dict[str, Any], data: dict[str, Any], message: str
) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "a", "label": "x", "id": 1})
    with pytest.raises(DataError, match=message):
        run(tmp_path, settings, train=path, **data)


@pytest.mark.parametrize(
    ("template", "said"),
    [("{{text", "unexpected end of template"), ("{{ text|nope }}", "No filter named 'nope'")],
)
def test_a_template_with_an_error_is_the_settings_fault(
    template: str, said: str, tmp_path: Path
) -> None:
    path = jsonl(tmp_path / "a.jsonl", *labelled("a"))
    with pytest.raises(
        SettingsError, match=rf"FINETUNE_CLEAN__DERIVE: .*'text'.*: {said}.* \(line 1\)"
    ):
        run(tmp_path, {"derive": {"text": template}}, train=path)


@pytest.mark.parametrize("name", ["__file", "__line"])
def test_no_column_can_take_the_name_of_one_of_the_jobs(name: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *labelled("a"))
    for setting in ({"rename": {"text": name}}, {"derive": {name: "{{ text }}"}}):
        with pytest.raises(SettingsError, match=f"makes a column {name}, a name that is taken"):
            run(tmp_path, setting, train=path)


def test_a_template_that_fails_on_a_value_costs_that_row(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"n": "4", "label": "x"}, {"n": "0", "label": "x"})
    settings = {"derive": {"text": "{{ 8 // (n|int) }}"}}
    rows = run(tmp_path, settings, train=path, max_bad_fraction=0.5)
    assert texts_of(rows) == ["2"]
    (bad,) = [json.loads(line) for line in rows.quarantine.read_text().splitlines()]
    assert bad["line"] == 2 and "'text' cannot be derived" in bad["reason"]


def test_a_template_cannot_leave_its_sandbox(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *labelled("a"))
    settings = {"derive": {"text": "{{ text.__class__.__mro__[1].__subclasses__() }}"}}
    with pytest.raises(DataError, match="SecurityError"):
        run(tmp_path, settings, train=path)


def test_texts_are_cleaned_in_order(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *labelled("  &lt;B&gt; \uff21 "))
    settings = {"unescape_html": True, "lowercase": True, "normalize_unicode": "NFKC"}
    assert texts_of(run(tmp_path, settings, train=path)) == ["<b> a"]
    assert texts_of(run(tmp_path, {"strip": False}, train=path)) == ["  &lt;B&gt; \uff21 "]


def test_rows_are_dropped_for_a_reason(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *labelled("a b", " ", "a", "a b c d"))
    rows = run(tmp_path, {"min_words": 2, "max_words": 3}, train=path)
    assert texts_of(rows) == ["a b"]
    assert counts(rows)["dropped"] == {"empty": 1, "too few words": 1, "too many words": 1}
    assert (counts(rows)["read"], counts(rows)["bad"], counts(rows)["rows"]) == (4, 0, 1)
    assert texts_of(run(tmp_path, {"drop_empty": False}, train=path))[1] == ""


def test_the_quarantine_goes_on_where_fetch_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,x\nb\nc,\n" + "d,x\n" * 5)
    rows = run(tmp_path, train=str(path), max_bad_fraction=0.25)
    lines = [json.loads(line) for line in rows.quarantine.read_text().splitlines()]
    assert [(bad["line"], bad["reason"]) for bad in lines] == [
        (3, "1 columns where 2 are expected"),
        (4, "no label"),
    ]
    assert json.loads(lines[1]["row"]) == {"text": "c", "label": ""}
    assert (counts(rows)["read"], counts(rows)["bad"]) == (8, 2)
    with pytest.raises(
        DataError, match=r"2 of 8 train rows \(25\.0%\).*a\.csv:3: .*a\.csv:4: no label"
    ):
        run(tmp_path, train=str(path), max_bad_fraction=0.2)


def test_a_split_of_which_nothing_is_left_says_why(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *labelled("", " "))
    with pytest.raises(DataError, match=r"no train rows are left .*read 2, unusable 0, empty 2"):
        run(tmp_path, train=path)
    some = jsonl(tmp_path / "b.jsonl", *labelled("a"))
    with pytest.raises(DataError, match="no validation rows are left of those given"):
        run(tmp_path, train=some, validation=path)
    with pytest.raises(DataError, match="held out of the training rows"):
        run(tmp_path, train=some, test_fraction=1e-9)
    (tmp_path / "c.csv").write_text("text,label\n")
    with pytest.raises(DataError, match="no train rows are left"):
        run(tmp_path, train=str(tmp_path / "c.csv"))


def test_the_profile_counts_labels_words_and_files(tmp_path: Path) -> None:
    one = jsonl(tmp_path / "a.jsonl", *labelled("a", "a b c"), *labelled("d " * 9, label="y"))
    two = jsonl(tmp_path / "b.jsonl", *labelled("e f"))
    rows = run(tmp_path, train=[one, two])
    assert counts(rows)["labels"] == {"x": 3, "y": 1}
    assert counts(rows)["words"] == {"1": 1, "2-3": 2, "8-15": 1}
    assert counts(rows)["files"] == {one: 3, two: 1}
    assert json.loads(json.dumps(rows.profile)) == rows.profile


def test_rows_are_sorted_by_number_where_all_values_are_numbers(tmp_path: Path) -> None:
    def rows(*values: Any) -> str:
        found = [{"text": f"t{i}", "label": "x", "n": n} for i, n in enumerate(values)]
        return jsonl(tmp_path / "a.jsonl", *found)

    path = rows(10, 9, None, 9.5, 9)
    assert texts_of(run(tmp_path, {"sort_by": "n"}, train=path)) == ["t1", "t4", "t3", "t0", "t2"]
    ordered = run(tmp_path, {"sort_by": "-n"}, train=path)
    assert texts_of(ordered) == ["t0", "t3", "t1", "t4", "t2"]
    assert schema_of(ordered.tables["train"]).names == COLUMNS
    assert texts_of(run(tmp_path, {"sort_by": "n"}, train=rows(10, 9, "b"))) == ["t0", "t1", "t2"]


def test_many_rows_are_sorted_on_disk(tmp_path: Path) -> None:
    values = [(i * 7_919) % 20_011 for i in range(20_000)]
    path = jsonl(tmp_path / "a.jsonl", *({"text": f"t{n}", "label": "x", "n": n} for n in values))
    texts = texts_of(run(tmp_path, {"sort_by": "n"}, train=path))
    assert texts == [f"t{n}" for n in sorted(values)]
    assert sorted(p.name for p in (tmp_path / "clean").iterdir()) == [
        "gate.arrow",
        "quarantine.jsonl",
        "read.arrow",
        "train.arrow",
    ]


def test_held_out_rows_carry_the_columns_of_slices(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": "x", "lang": "de" if i % 2 else None} for i in range(40)]
    path, bare = jsonl(tmp_path / "a.jsonl", *rows), jsonl(tmp_path / "b.jsonl", *labelled("a"))
    slices = ("lang", "label", "length")
    some = jsonl(tmp_path / "c.jsonl", *rows[:8])
    found = run(tmp_path, slices=slices, train=path, test_fraction=0.5, validation=some)
    for split in ("validation", "test"):
        assert {row["slice lang"] for row in rows_of(found, split)} == {"de", None}
        assert all(
            row["slice lang"] == rows[row["__line"] - 1]["lang"] for row in rows_of(found, split)
        )
    assert schema_of(found.tables["train"]).names == COLUMNS
    assert "slice length" not in schema_of(found.tables["test"]).names
    # what is only trained on needs no such column; what is scored does
    assert run(tmp_path, slices=slices, train=bare, test=path).rows == {"train": 1, "test": 40}
    refused: list[dict[str, Any]] = [
        {"train": bare, "test_fraction": 0.1},
        {"train": path, "validation": bare},
    ]
    for lacking in refused:
        with pytest.raises(
            DataError, match=r"b\.jsonl: no column 'lang'.*FINETUNE_EVALUATE__SLICES"
        ):
            run(tmp_path, slices=slices, **lacking)


def test_keys_stand_beside_the_rows_in_their_order(tmp_path: Path) -> None:
    rows = [
        {"text": f"t{(i * 7) % 50}", "label": "x", "n": i, "who": i % 5 or None} for i in range(50)
    ]
    path = jsonl(tmp_path / "a.jsonl", *rows)
    sources = [{"uri": path, "weight": 1.5}]
    found = run(tmp_path, {"sort_by": "-n"}, train=sources, test_fraction=0.3, split_by="who")
    for split in ("train", "test"):
        for row in rows_of(found, split):
            who = rows[row["__line"] - 1]["who"]
            assert row[KEY] == key_of(row["text"])
            assert row[GROUP] == (None if who is None else key_of(str(who)))
    assert len(rows_of(found)) > len({row[KEY] for row in rows_of(found)})


def test_a_value_that_must_be_unique(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x", "id": i} for i in (1, 2, None, None, 1)]
    path = jsonl(tmp_path / "a.jsonl", *rows)
    with pytest.raises(DataError, match=r"id is '1' twice in the train rows: .*:1 and .*:5"):
        run(tmp_path, {"unique": ("id",)}, train=path)
    other = jsonl(tmp_path / "b.jsonl", *rows[:4])
    assert run(tmp_path, {"unique": "id"}, train=other, test_fraction=0).rows == {"train": 4}


def test_poll_may_stop_both_passes(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *labelled("a"))
    data = Data(train=path, validation_fraction=0, test_fraction=0)
    raw = fetch(data, resolve_inputs(data), tmp_path / "fetch")
    rules = TextClassification.create(settings_of(data=data))
    for after in (1, 2):
        calls = iter([nothing] * (after - 1))

        def poll(calls: Any = calls) -> None:
            if next(calls, None) is None:
                raise Stopped("stop")

        with pytest.raises(Stopped), polling(poll):
            clean(settings_of(data=data), rules, raw, tmp_path / "clean")


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not here")
def test_real_rows(tmp_path: Path) -> None:
    fractions: dict[str, Any] = {"validation_fraction": 0.1, "test_fraction": 0.1}
    path = str(SHARED / "sms-spam" / "sms.tsv")
    settings = {"unescape_html": True, "deduplicate": True}
    rows = run(tmp_path, settings, train=path, column_names=("label", "text"), **fractions)
    assert (
        sum(rows.rows.values()) + sum(counts(rows, split)["duplicates"] for split in rows.rows)
        == 5_574
    )
    assert 0.08 < rows.rows["test"] / 5_159 < 0.12
    assert not any("&lt;" in text for text in texts_of(rows))


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not here")
def test_real_pairs_that_stand_in_the_test_rows_are_not_trained_on(tmp_path: Path) -> None:
    columns = {"text": "sentence_A", "text_pair": "sentence_B", "label": "entailment_judgment"}
    paths: dict[str, Any] = {
        name: str(SHARED / "sick" / f"{name}.tsv") for name in ("train", "validation", "test")
    }
    rows = run(tmp_path, **paths, columns=columns)
    pairs = {
        split: {(r["text"].casefold(), r["text_pair"].casefold()) for r in rows_of(rows, split)}
        for split in rows.rows
    }
    assert not pairs["train"] & (pairs["validation"] | pairs["test"])
    assert rows.rows["train"] == 4_500 - sum(counts(rows)["dropped"].values()) < 4_500
    assert (rows.rows["validation"], rows.rows["test"]) == (500, 4_927)


def test_too_many_bad_rows_leave_their_file(tmp_path: Path) -> None:
    rows = labelled("a", "b", "c") + [{"text": None, "label": "x"}] * 5
    with pytest.raises(DataError, match="cannot be used") as caught:
        run(tmp_path, train=jsonl(tmp_path / "a.jsonl", *rows))
    assert caught.value.kept is not None
    assert len(caught.value.kept.read_text().splitlines()) == 5


def test_the_first_rows_need_not_hold_any_out(tmp_path: Path) -> None:
    data = Data(train=jsonl(tmp_path / "a.jsonl", *labelled("a")), validation_fraction=0.1)
    raw = fetch(data, resolve_inputs(data), tmp_path / "fetch")
    with pytest.raises(DataError, match="held out"):
        run_raw(tmp_path, data, raw)
    rules = TextClassification.create(settings_of(data=data))
    rows = clean(settings_of(data=data), rules, raw, tmp_path / "clean", partial=True)
    assert rows.rows == {"train": 1}
