"""Labels that are questioned, and rare ones that stay in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from job.errors import DataError
from tests.support.cleaning import counts, jsonl, labelled, run, texts_of


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
