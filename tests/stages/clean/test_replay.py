"""What a model has learned from already, and which of it is trained on again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from job.data.arrow import stream
from job.data.artifacts import FILE, KEY
from job.settings import Data
from job.stages.clean import Replay, clean
from job.stages.clean.splits import keys_of
from job.stages.fetch import fetch, resolve_inputs
from job.tasks.text_classification import TextClassification
from tests.support.cleaning import counts, jsonl, labelled, texts_of
from tests.support.samples import settings_of


def test_a_part_of_what_was_learned_is_replayed_the_same_each_time() -> None:
    keys = keys_of([[f"text {i}" for i in range(4000)]])
    learned = np.sort(keys[:2000])
    left_out = Replay(learned, 0.25, salt=7).leaves_out(keys)
    assert left_out[:2000].mean() == pytest.approx(0.75, abs=0.03)
    assert not left_out[2000:].any(), "new rows stay"
    order = np.random.default_rng(0).permutation(4000)
    again = Replay(learned, 0.25, salt=7).leaves_out(keys[order])
    assert (again == left_out[order]).all(), "a row's place decides nothing"
    more = Replay(learned, 0.5, salt=7).leaves_out(keys)
    assert not (more & ~left_out).any(), "a greater share holds the smaller one"
    other = Replay(learned, 0.25, salt=8).leaves_out(keys)
    assert (other != left_out).any(), "another champion's rows are replayed by another draw"
    assert not Replay(learned, 1.0).leaves_out(keys).any()
    assert Replay(learned, 0.0).leaves_out(keys)[:2000].all()


def test_what_a_model_has_learned_from_is_left_out_of_the_training_rows_alone(
    tmp_path: Path,
) -> None:
    train = jsonl(tmp_path / "train.jsonl", *labelled("old one", "new one", "Old  two", "new one"))
    validation = jsonl(tmp_path / "validation.jsonl", *labelled("old three"))
    data = Data(train=[train], validation=[validation], test_fraction=0)
    raw = fetch(data, resolve_inputs(data), tmp_path / "fetch")
    learned = np.sort(keys_of([["old one", "old two", "old three"]]))
    settings = settings_of(data=data)
    rules = TextClassification.create(settings)
    rows = clean(settings, rules, raw, tmp_path / "clean", replay=Replay(learned, 0.0))
    assert texts_of(rows) == ["new one", "new one"]
    assert texts_of(rows, "validation") == ["old three"]
    assert counts(rows)["dropped"] == {"learned from before": 2}
    assert rows.read is not None
    read = pa.Table.from_batches(list(stream(rows.read)))
    assert (
        read.column(KEY).to_pylist()
        == keys_of([["old one", "new one", "old two", "new one", "old three"]]).tolist()
    ), "all rows, as they were read"
    assert read.column(FILE).to_pylist() == [0, 0, 0, 0, 1]
