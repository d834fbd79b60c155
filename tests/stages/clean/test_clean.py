"""The clean stage: columns to roles, texts cleaned, bad rows kept, splits written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from job.data.arrow import schema_of, stream
from job.data.artifacts import CleanRows, RawRows, Split
from job.errors import DataError, SettingsError, Stopped
from job.runtime.stop import polling
from job.settings import Clean, Data
from job.stages.clean import clean
from job.stages.fetch import fetch, resolve_inputs
from job.tasks.text_classification import TextClassification
from tests.support.samples import SHARED, settings_of


def nothing() -> None:
    pass


def jsonl(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def labelled(*texts: str, label: str = "x") -> list[dict[str, Any]]:
    return [{"text": text, "label": label} for text in texts]


def run(folder: Path, settings: dict[str, Any] | None = None, **data: Any) -> CleanRows:
    """Fetch and clean; nothing is held out unless `data` says so."""
    chosen = Data(**{"validation_fraction": 0, "test_fraction": 0, **data})
    raw = fetch(chosen, resolve_inputs(chosen), folder / "fetch")
    return run_raw(folder, chosen, raw, **(settings or {}))


def run_raw(folder: Path, data: Data, raw: RawRows, **settings: Any) -> CleanRows:
    rules = TextClassification.create(settings_of(data=data))
    chosen = settings_of(clean=Clean(**settings), data=data)
    return clean(chosen, rules, raw, folder / "clean")


def rows_of(rows: CleanRows, split: Split = "train") -> list[dict[str, Any]]:
    return [row for b in stream(rows.tables[split]) for row in b.to_pylist()]


def texts_of(rows: CleanRows, split: Split = "train") -> list[str]:
    return [row["text"] for row in rows_of(rows, split)]


def counts(rows: CleanRows, split: str = "train") -> dict[str, Any]:
    found: dict[str, Any] = rows.profile["splits"][split]
    return found


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
    assert schema_of(rows.tables["train"]).names == ["text", "label", "__file", "__line"]
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
    assert schema_of(ordered.tables["train"]).names == ["text", "label", "__file", "__line"]
    assert texts_of(run(tmp_path, {"sort_by": "n"}, train=rows(10, 9, "b"))) == ["t0", "t1", "t2"]


def test_many_rows_are_sorted_on_disk(tmp_path: Path) -> None:
    values = [(i * 7_919) % 20_011 for i in range(20_000)]
    path = jsonl(tmp_path / "a.jsonl", *({"text": f"t{n}", "label": "x", "n": n} for n in values))
    texts = texts_of(run(tmp_path, {"sort_by": "n"}, train=path))
    assert texts == [f"t{n}" for n in sorted(values)]
    assert sorted(p.name for p in (tmp_path / "clean").iterdir()) == [
        "quarantine.jsonl",
        "train.arrow",
    ]


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
    fractions = {"validation_fraction": 0.1, "test_fraction": 0.1}
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


# -- labels ----------------------------------------------------------------------------------


def test_white_space_around_a_label_is_never_meant(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *labelled("a", label="spam "), *labelled("b", label="spam"))
    assert counts(run(tmp_path, train=path))["labels"] == {"spam": 2}


def test_labels_that_are_alike_are_named_with_their_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        *labelled("a", "b", label="ham"),
        *labelled("c", label="Ham"),
        *labelled("d", label="x"),
    ]
    with caplog.at_level("WARNING", logger="finetune"):
        run(tmp_path, train=jsonl(tmp_path / "a.jsonl", *rows))
    (record,) = caplog.records
    assert "differ only in case" in record.message
    assert "'Ham' (1), 'ham' (2)" in str(vars(record))


def test_labels_that_may_be_missing_values_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*labelled("a", "b", label="nan"), *labelled("c", label="None"), *labelled("d")]
    with caplog.at_level("WARNING", logger="finetune"):
        run(tmp_path, train=jsonl(tmp_path / "a.jsonl", *rows))
    (record,) = caplog.records
    assert "'None' (1), 'nan' (2)" in str(vars(record))


@pytest.mark.parametrize("test", [[], labelled("z", label='["x"]')])
def test_labels_that_are_lists_in_some_rows_only_are_refused(
    test: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Wherever the first list stands: after many rows, or in another split."""
    single = labelled(*map(str, range(200)))
    lists = [] if test else labelled("z", label='["x", "y"]')
    files: dict[str, Any] = {"train": jsonl(tmp_path / "a.jsonl", *single, *lists)}
    if test:
        files["test"] = jsonl(tmp_path / "b.jsonl", *test)
    said = "0 of 200 train rows, 1 of 1 test rows" if test else "1 of 201 train rows"
    with pytest.raises(DataError, match=f"the labels of {said} are lists, and those of the others"):
        run(tmp_path, **files)


def test_lists_of_0_and_1_are_questioned_and_lists_of_classes_are_not(tmp_path: Path) -> None:
    vectors = jsonl(tmp_path / "a.jsonl", *({"text": t, "label": [0, 1]} for t in "ab"))
    with pytest.raises(DataError, match="every label is a list of 0 and 1: a vector over two"):
        run(tmp_path, train=vectors)
    classes = jsonl(tmp_path / "b.jsonl", *({"text": str(n), "label": [0, n]} for n in (1, 2)))
    assert counts(run(tmp_path, train=classes))["labels"] == {"0": 2, "1": 1, "2": 1}


def rare(folder: Path, rows: int = 400, **more: Any) -> list[dict[str, Any]]:
    """Rows of two classes, and of many that one row has each."""
    return [
        {"text": f"text {n}", "label": f"rare{n}" if n % 10 == 0 else "xy"[n % 2], **more}
        for n in range(rows)
    ]


def test_one_row_of_a_rare_label_is_always_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = jsonl(tmp_path / "a.jsonl", *rare(tmp_path))
    fractions: dict[str, Any] = {"validation_fraction": 0.2, "test_fraction": 0.2}
    with caplog.at_level("WARNING", logger="finetune"):
        rows = run(tmp_path, train=path, **fractions)
    learned = counts(rows)["labels"]
    assert len(learned) == 42
    assert all(set(counts(rows, split)["labels"]) <= {"x", "y"} for split in ("validation", "test"))
    moved = rows.profile["kept_for_their_label"]
    assert 5 < moved < 30
    assert "only held-out rows had" in caplog.text
    plain = [{**row, "label": "xy"[n % 2]} for n, row in enumerate(rare(tmp_path))]
    (tmp_path / "plain").mkdir()
    other = run(tmp_path / "plain", train=jsonl(tmp_path / "b.jsonl", *plain), **fractions)
    assert other.profile["kept_for_their_label"] == 0
    for split in ("validation", "test"):  # all others stay where they were
        before, after = texts_of(other, split), texts_of(rows, split)
        assert set(after) < set(before)
    assert sum(map(len, (texts_of(other), texts_of(rows)))) == 2 * counts(rows)["rows"] - moved


@pytest.mark.parametrize(
    "more", [{"sample": 0.1}, {"sample": 50}, {"weight": 0.1}], ids=["part", "count", "weight"]
)
def test_no_draw_takes_the_last_row_of_a_label(more: dict[str, Any], tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *rare(tmp_path))
    weight = more.pop("weight", 1)
    rows = run(tmp_path, more, train={"uri": path, "weight": weight}, validation_fraction=0.2)
    assert len(counts(rows)["labels"]) == 42
    assert counts(rows)["rows"] < 120


def test_a_group_goes_to_the_training_rows_as_a_whole(tmp_path: Path) -> None:
    made = rare(tmp_path)
    for n, row in enumerate(made):
        row["author"] = f"author {n // 5}"
    path = jsonl(tmp_path / "a.jsonl", *made)
    rows = run(tmp_path, train=path, split_by="author", validation_fraction=0.2)
    assert len(counts(rows)["labels"]) == 42
    numbers = [
        {int(text.split()[1]) // 5 for text in texts_of(rows, split)}
        for split in ("train", "validation")
    ]
    assert not numbers[0] & numbers[1]


# -- derived columns --------------------------------------------------------------------------

NAMES = ("range", "dict", "lipsum", "cycler", "joiner", "namespace")


def test_a_column_is_itself_whatever_jinja_calls_its_functions(tmp_path: Path) -> None:
    row = {name: f"the {name}" for name in NAMES}
    path = jsonl(tmp_path / "a.jsonl", {**row, "label": "x"})
    template = " ".join(f"{{{{{name}}}}}" for name in NAMES)
    rows = run(tmp_path, {"derive": {"text": template}}, train=path)
    assert texts_of(rows) == [" ".join(row.values())]
    other = jsonl(tmp_path / "b.jsonl", *labelled("a"))
    for name in NAMES:
        with pytest.raises(
            DataError, match=f"no column '{name}'.* the columns are 'text', 'label'"
        ):
            run(tmp_path, {"derive": {"text": f"{{{{ {name} }}}}"}}, train=other)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ text * (n|int) }}", "longer than 1,048,576 characters"),
        ("{{ 'x' * 10**8 }}", "longer than 1,048,576 characters"),
        ("{{ 7 ** 1000000000 }}", "longer than 1,048,576 characters"),
        ("{{ text.ljust(n|int) }}", "longer than 1,048,576 characters"),
        ("{{ '%100000000d' % 1 }}", "longer than 1,048,576 characters"),
        ("{{ text.ljust((n|int) * 1000)|length }}", "it takes too much memory"),
        ("{{ text.ljust(1000000).replace('', text.ljust(1000000)) }}", "it takes too much memory"),
        ("{{ ('a' * 1000)|join(text.ljust(1000000)) }}", "it takes too much memory"),
        ("{% for a in t %}{% for b in t %}{% for c in t %}{% endfor %}{% endfor %}{% endfor %}",
         "more than 100,000 turns of loops and calls"),
        ("{% macro f(k) %}{{ f(k) }}{% endmacro %}{{ f(1) }}", "RecursionError"),
        ("{% macro f(k) %}{% if k %}{{ f(k - 1) }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
         "more than 100,000 turns of loops and calls"),
        ("{{ '\\ud800' }}", "UnicodeEncodeError"),
        ("{{ text.split() }}", "a list is not text"),
        ("{{ text.split }}", "is not text"),
        ("{{ self }}", "is not text"),
    ],
)  # fmt: skip
def test_a_derived_value_has_bounds(template: str, said: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "a b", "n": 10**8, "t": "x" * 100, "label": "x"})
    with pytest.raises(DataError, match=rf"a\.jsonl:1: 'text' cannot be derived: .*{said}"):
        run(tmp_path, {"derive": {"text": template}}, train=path, max_row_bytes=1 << 20)


def test_long_derived_values_are_written_in_parts(tmp_path: Path) -> None:
    """More of them than may be in memory at once, in order and with nothing lost between two parts."""
    path = jsonl(tmp_path / "a.jsonl", *({"n": n, "label": "xy"[n % 2]} for n in range(300)))
    settings = {"derive": {"text": "{{ n }} {{ 'a' * 300 }}", "more": "{{ text|length }}"}}
    rows = run(tmp_path, settings, train=path, max_row_bytes=1024)
    found = rows_of(rows)
    assert [(r["text"].split()[0], r["label"], r["__line"]) for r in found] == [
        (str(n), "xy"[n % 2], n + 1) for n in range(300)
    ]


def test_loops_over_what_a_row_holds_are_fine(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"t": "b a", "label": "x"})
    template = (
        "{% for w in t.split()|sort %}{{ loop.index }}{{ w }}{{ '-' if not loop.last }}{% endfor %}"
    )
    assert texts_of(run(tmp_path, {"derive": {"text": template}}, train=path)) == ["1a-2b"]
