"""JSON as people write it, columns within columns, and folders that `datasets` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch import fetch, resolve_inputs
from tests.stages.fetch.test_text import bad_of, read, rows_of, texts_of

CHAT = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}
SPANS = {"text": "in Rome", "label": "x", "spans": [{"text": "Rome", "start": 3}]}


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        ({"text": "a", "label": "x"}, {}),
        ({"text": "a", "tags": []}, {}),
        ({"body": "a", "kind": {"b": [1]}}, {}),
        (SPANS, {}),
        (CHAT, {"columns": {"messages": "messages"}}),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_one_object_a_file(
    tmp_path: Path, row: dict[str, Any], settings: dict[str, Any], suffix: str
) -> None:
    raw = read(tmp_path / f"a.{suffix}", json.dumps(row, indent=2), **settings)
    (found,) = rows_of(raw)
    shown = {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()}
    assert {name: found[name] for name in row} == shown and not raw.bad["train"]


def test_the_list_is_the_rows_where_it_has_more_of_the_columns(tmp_path: Path) -> None:
    document = {"source": "the web", "data": [{"text": "a", "label": "x"}]}
    assert texts_of(read(tmp_path / "a.json", json.dumps(document))) == ["a"]
    with pytest.raises(DataError, match="a key appears twice"):
        read(tmp_path / "a.json", '{"data": [{"text": "a"}], "data": [{"text": "b"}]}')


def test_a_document_that_is_too_large_for_a_row_is_streamed(tmp_path: Path) -> None:
    rows = [{"text": f"row {i}"} for i in range(2_000)]
    document = json.dumps({"about": {"n": 1}, "data": rows})
    assert texts_of(read(tmp_path / "a.json", document, max_row_bytes=1_024)) == [
        row["text"] for row in rows
    ]


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("levels", [250, 900, 100_000])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "lines.json", "data.json"])
def test_a_deep_row_costs_itself(tmp_path: Path, levels: int, place: int, name: str) -> None:
    rows = ['{"text": "a"}', '{"text": "b"}']
    rows.insert(place, f'{{"text": "deep", "more": {deep(levels)}}}')
    content = "\n".join(rows)
    if name == "a.json":
        content = f"[{', '.join(rows)}]"
    elif name == "data.json":
        content = f'{{"data": [{", ".join(rows)}]}}'
    raw = read(tmp_path / name, content)
    assert texts_of(raw) == ["a", "b"]
    assert [(bad["line"], bad["reason"]) for bad in bad_of(raw)] == [
        (place + 1, "nested too deeply")
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_half_a_character_is_not_another_encoding(tmp_path: Path, name: str) -> None:
    rows = ['{"text": "\\ud83d"}', '{"text": "\\ude00 x"}', '{"text": "\\udc41"}', '{"text": "a"}']
    content = "\n".join(rows) if name == "a.jsonl" else f"[{', '.join(rows)}]"
    raw = read(tmp_path / name, content)
    assert texts_of(raw) == ["a"] and raw.bad == {"train": 3}
    assert all("half a character" in bad["reason"] for bad in bad_of(raw))
    raw = read(
        tmp_path / name, b'[{"text": "caf\xe9"}]' if name == "a.json" else b'{"text": "\xe9"}'
    )
    assert "FINETUNE_DATA__ENCODING" in bad_of(raw)[0]["reason"]


TRANSLATION = [{"de": "eins", "en": "one"}, {"de": "zwei"}, None, "drei"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv"])
def test_a_dot_reaches_into_a_column(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        parquet.write_table(pa.table({"translation": TRANSLATION[:3]}), path)
        content = path.read_bytes()
    elif suffix == "csv":
        content = (
            b'translation,n\n"{""de"": ""eins"", ""en"": ""one""}",1\n"{""de"": ""zwei""}",2\n,3\n'
        )
    else:
        rows = ({"translation": row, "a.b": {"c": 1}} for row in TRANSLATION)
        content = "\n".join(map(json.dumps, rows)).encode()
    columns = {"source": "translation.de", "target": "translation.en", "text": "a.b.c"}
    found = rows_of(read(path, content, columns=columns))[:3]
    assert [(row["translation.de"], row["translation.en"]) for row in found] == [
        ("eins", "one"),
        ("zwei", None),
        (None, None),
    ]
    if suffix == "jsonl":
        assert [row["a.b.c"] for row in found] == ["1"] * 3


def test_a_folder_of_save_to_disk_is_read_without_its_facts(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]})
    rows.save_to_disk(tmp_path / "saved")
    (tmp_path / "saved/cache-1.arrow").write_bytes(b"indices")
    splits = datasets.DatasetDict({"train": rows, "test": rows})
    splits.save_to_disk(tmp_path / "splits")
    for place in ("saved", "saved/", "saved/*", "splits/train"):
        data = Data.model_validate({"train": f"{tmp_path}/{place}"})
        raw = fetch(data, resolve_inputs(data), tmp_path / "scratch")
        assert texts_of(raw) == ["a", "b"]
    with pytest.raises(SettingsError, match=r"several splits \(test, train\)"):
        resolve_inputs(Data.model_validate({"train": f"{tmp_path}/splits"}))
