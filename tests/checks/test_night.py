"""Which of a night's rows are new, and which repeat others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from job.checks.night import Before, Night, Share, learned_before, repeated
from job.data.artifacts import CleanRows
from job.registry.lineage import KnownRows, Lineage
from job.stages.clean.splits import key_of
from job.tasks.text_classification import TextClassification
from tests.support.cleaning import jsonl, run
from tests.support.samples import settings_of

RULES = TextClassification.create(settings_of())


def rows_of(*texts: str) -> list[dict[str, str]]:
    return [{"text": text, "label": text[0]} for text in texts]


def known(train: Iterable[str] = (), validation: Iterable[str] = ()) -> KnownRows:
    keys = [
        np.unique(np.array([key_of(t) for t in texts], np.uint64)) for texts in (train, validation)
    ]
    return KnownRows(keys[0], keys[1], {"a": 3})


@pytest.fixture
def night(tmp_path: Path) -> CleanRows:
    """Two old texts in a file of before; in a new one another old one, two new ones and a copy of each of
    three."""
    old = jsonl(tmp_path / "old.jsonl", *rows_of("a 1", "a 2"))
    new = jsonl(tmp_path / "new.jsonl", *rows_of("a 3", "b 1", "b 2 words", "A  3", "b 1", "a 1"))
    validation = jsonl(tmp_path / "validation.jsonl", *rows_of("v 1", "v 2"))
    return run(tmp_path, {"deduplicate": True}, train=[old, new], validation=validation)


OLD = known(["a 1", "a 2", "a 3"], ["v 1"])


def lineage(night: CleanRows, *files: int, rows: KnownRows | None = OLD) -> Lineage:
    return Lineage("n1-a1", frozenset(night.files[i] for i in files), rows)


def test_new_rows_are_those_whose_text_the_champion_does_not_know(night: CleanRows) -> None:
    found = Night.of(night, Before.of(night.files, lineage(night, 0)), RULES, 10)
    assert (found.rows, dict(found.labels)) == (3, {"b": 2, "v": 1})
    assert set(found.sample["text"].to_pylist()) == {"b 1", "b 2 words", "v 2"}
    assert found.sample.column_names == ["text", "label"]
    assert found.validated["text"].to_pylist() == ["v 1"]


def test_where_what_it_knows_is_gone_the_rows_of_new_files_are_new(night: CleanRows) -> None:
    before = Before.of(night.files, lineage(night, 0, 2, rows=None))
    found = Night.of(night, before, RULES, 10)
    assert set(found.sample["text"].to_pylist()) == {"a 3", "b 1", "b 2 words"}
    assert before.tells
    assert not Before.of(night.files, Lineage("n1-a1", None, None)).tells


def test_without_a_champion_every_row_is_new(night: CleanRows) -> None:
    found = Night.of(night, Before.of(night.files, None), RULES, 10)
    assert found.rows == 7
    assert not len(found.validated)


def test_a_sample_is_the_same_in_any_order_and_holds_a_text_once(tmp_path: Path) -> None:
    texts = [f"{'ab'[i % 2]} {i}" for i in range(200)]
    samples = []
    for name, order in (("one", texts), ("other", texts[::-1] + texts)):
        path = jsonl(tmp_path / f"{name}.jsonl", *rows_of(*order))
        rows = run(tmp_path / name, {"deduplicate": False}, train=path)
        found = Night.of(rows, Before.of(rows.files, None), RULES, 50)
        samples.append(set(found.sample["text"].to_pylist()))
        assert len(found.sample) == 50
    assert samples[0] == samples[1]


def test_repeats_within_the_night_and_of_what_was_learned_are_counted_over_the_new_files(
    night: CleanRows,
) -> None:
    assert night.read is not None
    before = Before.of(night.files, lineage(night, 0, 2))
    assert repeated(night.read, before) == Share(2, 6), "a 3 and b 1 stand twice in the new file"
    assert learned_before(night.read, before, OLD) == Share(2, 4), (
        "a 3 and a 1 of a 3, b 1, b 2, a 1"
    )


def test_a_file_that_holds_all_rows_again_repeats_nothing(night: CleanRows) -> None:
    assert night.read is not None
    rewritten = Before.of(night.files, lineage(night, 0, 1, 2))
    assert rewritten.added == frozenset()
    assert repeated(night.read, rewritten) == Share(1, 4), "of b 1, b 1, b 2, v 2"
    renamed = Before.of(night.files, Lineage("n1-a1", frozenset({"gone.jsonl"}), OLD))
    assert renamed.added is None
    assert repeated(night.read, renamed) == Share(1, 4)


def test_files_in_an_archive_are_known_by_the_archive() -> None:
    names = ["s3://b/a.zip!one.csv", "s3://b/c.csv", "s3://b/d.csv"]
    before = Before.of(names, Lineage("v", frozenset({"s3://b/a.zip", "s3://b/c.csv"}), None))
    assert before.added == frozenset({2})
