"""The gate's rows of every kind of task: kept, held back and put to a model as they were given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from job import prepare, tasks
from job.data.artifacts import GATE, KEY, KEYS, SLICE, Dataset
from job.gate.growth import commit_part
from job.gate.parts import held_back
from job.gate.rows import judging
from job.registry.champion import Champion
from job.settings import load
from job.stages.fetch import resolve_inputs
from job.store import open_store
from tests.gate.nights import read, written
from tests.support.task_samples import ROWS, Rows, variables

CHATS = [
    json.dumps([{"role": "user", "content": text}, {"role": "assistant", "content": text.upper()}])
    for text in (" what is it ", "where is it", "who is it")
]
KINDS = {
    **ROWS,
    ("text-generation", "chats"): ({"DATA__COLUMNS__MESSAGES": "messages"}, {"messages": CHATS}),
    ("text-classification", "pairs"): (
        {"DATA__COLUMNS__TEXT_PAIR": "other"},
        {"text": ["a ", " b", "c"], "other": ["A", "B &amp; b", "C"], "label": ["x", "y", "x"]},
    ),
}


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_rows_are_kept_and_found_again(kind: tuple[str, str], tmp_path: Path) -> None:
    own, values = KINDS[kind]
    rows = rows_of(values)
    given: dict[str, str] = {
        **own,
        "DATA__TRAIN": written(tmp_path / "train.jsonl", rows[:1]),
        "DATA__TEST": written(tmp_path / "test.jsonl", rows[1:]),
        "DATA__VALIDATION_FRACTION": "0",
        "CLEAN__UNESCAPE_HTML": "true",
        "CLEAN__LOWERCASE": "true",
        "EVALUATE__SLICES": '["who"]',
        "OUTPUT": str(tmp_path / "store"),
    }
    settings = load(variables(kind[0], given), []).settings
    store, task = open_store(settings.output), tasks.create(settings)
    cleaned = prepare.rows(settings, task, resolve_inputs(settings.data), tmp_path / "rows")
    assert cleaned.gate is not None
    (tmp_path / KEYS).write_bytes(cleaned.tables["train"].read_bytes())
    (tmp_path / GATE).write_bytes(cleaned.gate.read_bytes())
    dataset = Dataset("data set", tmp_path)
    assert commit_part(store, settings, "v", dataset, [], tmp_path / "new") == "v"

    found = judging(store, settings.name, Champion(gate=["v"]), settings, tmp_path / "judging")
    assert found is not None and not found.left_out
    for row, judge in zip(rows[1:], read(found.cleaned.tables["test"]), strict=True):
        for role, column in task.columns.items():
            assert judge[role] == row[column]
        assert judge[SLICE + "who"] == row["who"]
    held = held_back(store, settings.name, ["v"], settings, task, tmp_path / "held")
    assert {row[KEY] for row in read(cleaned.tables["test"])} == set(held.keys.tolist())
    # nothing is new the next night
    assert commit_part(store, settings, "w", dataset, ["v"], tmp_path / "again") is None


def rows_of(values: Rows) -> list[Mapping[str, str]]:
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return [{**row, "who": f"p{number}"} for number, row in enumerate(rows)]
