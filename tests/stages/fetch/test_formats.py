"""Files of every format and compression, as rows of strings."""

from __future__ import annotations

import gzip
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from job.data.arrow import stream
from job.data.artifacts import FILE, LINE, RawRows
from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch import fetch, resolve_inputs
from job.stages.fetch.class_names import named
from tests.support.compression import COMPRESSED
from tests.support.samples import SHARED

ROWS = [{"text": "one, two", "label": "a"}, {"text": 'a "quote"\nand é', "label": "b"}]
CSV = 'text,label\n"one, two",a\n"a ""quote""\nand é",b\n'.encode()


def read(
    source: Path | list[Path], scratch: Path, limit: int | None = None, **data: Any
) -> RawRows:
    train = [str(path) for path in (source if isinstance(source, list) else [source])]
    settings = Data(train=train, **data)
    return fetch(settings, resolve_inputs(settings), scratch, limit=limit)


def rows_of(raw: RawRows) -> list[dict[str, Any]]:
    return [row for path in raw.tables["train"] for b in stream(path) for row in b.to_pylist()]


def values_of(raw: RawRows) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in (FILE, LINE)} for row in rows_of(raw)]


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def shared(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not here")
    return SHARED / name


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_compressed_files_are_read_by_their_inner_suffix(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"rows.csv.{suffix}", COMPRESSED[suffix](CSV))
    assert values_of(read(path, tmp_path / "scratch")) == ROWS


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_archives_of_several_streams_are_read_to_their_end(tmp_path: Path, suffix: str) -> None:
    pack = COMPRESSED[suffix]
    path = write(tmp_path / f"rows.txt.{suffix}", pack(b"one\n") + pack(b"two\n"))
    assert [row["text"] for row in rows_of(read(path, tmp_path / "scratch"))] == ["one", "two"]


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_cut_archive_is_named(tmp_path: Path, suffix: str) -> None:
    lines = "".join(f"{i * 7919 % 100_003}\n" for i in range(50_000)).encode()
    whole = COMPRESSED[suffix](lines)
    path = write(tmp_path / f"rows.txt.{suffix}", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"rows\.txt.*cannot be read"):
        read(path, tmp_path / "scratch")


def test_a_compressed_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", gzip.compress(CSV))
    assert values_of(read(path, tmp_path / "scratch")) == ROWS


def test_a_suffix_that_the_content_contradicts_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv.gz", CSV)
    with pytest.raises(DataError, match="says gzip, the content is something else"):
        read(path, tmp_path / "scratch")


def test_every_visible_member_of_a_zip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/one.csv", "text\nfirst\n")
        archive.writestr("two.jsonl.gz", gzip.compress(b'{"text": "second"}\n'))
        archive.writestr("__MACOSX/._one.csv", b"\x00")
        archive.writestr("a/.DS_Store", b"\x00")
    raw = read(path, tmp_path / "scratch")
    assert [row["text"] for row in rows_of(raw)] == ["first", "second"]
    assert raw.files == (f"{path}!a/one.csv", f"{path}!two.jsonl.gz")


@pytest.mark.parametrize("name", ["../out.csv", "/etc/out.csv", "C:/out.csv"])
def test_a_member_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr(name, "text\nrow\n")
    with pytest.raises(DataError, match=r"rows\.zip"):
        read(tmp_path / "rows.zip", tmp_path / "scratch")


def test_a_damaged_zip_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.zip: cannot be read"):
        read(write(tmp_path / "rows.zip", b"PK\x03\x04 and nothing"), tmp_path / "scratch")


def test_an_unknown_suffix_names_the_setting(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.data", "text\na\n")
    with pytest.raises(DataError) as caught:
        read(path, tmp_path / "scratch")
    assert "rows.data" in str(caught.value) and "FINETUNE_DATA__FORMAT" in str(caught.value)
    assert values_of(read(path, tmp_path / "scratch", format="csv")) == [{"text": "a"}]


def table() -> pa.Table:
    return pa.table(
        {
            "text": ["a", None, "ü"],
            "number": [1, 2, None],
            "real": [0.5, float("nan"), 2.25],
            "flag": [True, False, None],
            "list": [["x"], [], None],
            "class": pa.array(["yes", "no", "yes"]).dictionary_encode(),
            "bytes": pa.array([b"a", b"b", b"c"], pa.binary()),
        }
    )


TYPED = [
    dict(zip(table().column_names, row, strict=True))
    for row in [
        ("a", "1", "0.5", "true", '["x"]', "yes", "a"),
        (None, "2", None, "false", "[]", "no", "b"),
        ("ü", None, "2.25", None, None, "yes", "c"),
    ]
]


def test_parquet_columns_become_strings(tmp_path: Path) -> None:
    parquet.write_table(table(), tmp_path / "rows.parquet", row_group_size=2)
    raw = read(tmp_path / "rows.parquet", tmp_path / "scratch")
    assert values_of(raw) == TYPED
    assert [row[LINE] for row in rows_of(raw)] == [1, 2, 3]
    packed = write(
        tmp_path / "p.parquet.gz", gzip.compress((tmp_path / "rows.parquet").read_bytes())
    )
    assert values_of(read(packed, tmp_path / "scratch")) == TYPED


@pytest.mark.parametrize("opener", [pa.ipc.new_stream, pa.ipc.new_file])
def test_both_arrow_formats_are_read(tmp_path: Path, opener: Any) -> None:
    with opener(str(tmp_path / "rows.arrow"), table().schema) as writer:
        writer.write_table(table())
    assert values_of(read(tmp_path / "rows.arrow", tmp_path / "scratch")) == TYPED


def test_categories_as_polars_writes_them_are_read(tmp_path: Path) -> None:
    names = pa.array(["ham", "a name of more than twelve bytes"], pa.string_view())
    labels = pa.DictionaryArray.from_arrays(pa.array([1, None, 0, 1], pa.uint8()), names)
    rows = pa.table({"label": labels})
    with pa.ipc.new_file(str(tmp_path / "rows.arrow"), rows.schema) as writer:
        writer.write_table(rows, max_chunksize=3)
    raw = read(tmp_path / "rows.arrow", tmp_path / "scratch")
    assert [row["label"] for row in rows_of(raw)] == rows["label"].to_pylist()


def test_the_class_names_that_datasets_keeps_in_the_schema_are_used(tmp_path: Path) -> None:
    features = {"label": {"names": ["ham", "spam"], "_type": "ClassLabel"}}
    about = json.dumps({"info": {"features": features}})
    rows = pa.table({"label": [1, 0, -1]}).replace_schema_metadata({"huggingface": about})
    parquet.write_table(rows, tmp_path / "rows.parquet")
    raw = read(tmp_path / "rows.parquet", tmp_path / "scratch")
    assert [row["label"] for row in rows_of(raw)] == ["spam", "ham", None]


def test_class_names_are_used_wherever_a_feature_holds_them(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, List, Sequence

    classes = ClassLabel(names=["joy", "anger", "fear"])
    features = Features(
        {
            "labels": List(classes),
            "tags": Sequence(classes, length=2),
            "deep": [[classes]],
            "spans": Sequence({"kind": classes, "at": List(classes)}),
            "one": {"kind": classes},
            "plain": classes,
        }
    )
    row = {
        "labels": [0, 2, -1],
        "tags": [1, 1],
        "deep": [[0], [1]],
        "spans": {"kind": [1], "at": [[0]]},
        "one": {"kind": 2},
        "plain": 0,
    }
    rows = Dataset.from_list([row], features=features)
    rows.to_parquet(tmp_path / "rows.parquet")
    (found,) = rows_of(read(tmp_path / "rows.parquet", tmp_path / "scratch"))
    assert json.loads(found["labels"]) == ["joy", "fear", None]
    assert json.loads(found["tags"]) == ["anger", "anger"]
    assert json.loads(found["deep"]) == [["joy"], ["anger"]]
    assert json.loads(found["spans"]) == {"kind": ["anger"], "at": [["joy"]]}
    assert json.loads(found["one"]) == {"kind": "fear"}
    assert found["plain"] == "joy"


def test_class_names_as_older_releases_of_datasets_describe_them() -> None:
    classes = {"_type": "ClassLabel", "names": ["joy", "anger"]}
    assert named([1, None, 0.0], {"_type": "Sequence", "feature": classes}) == [
        "anger",
        None,
        "joy",
    ]
    spans = {"_type": "Sequence", "feature": {"kind": classes, "at": {"_type": "Value"}}}
    assert named({"kind": [1], "at": [5]}, spans) == {"kind": ["anger"], "at": [5]}
    assert named("anger", classes) == "anger"
    assert named([5], [{"_type": "Value"}]) == [5]


def test_bytes_in_parquet_that_are_no_text_are_put_aside(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": [b"fine", b"\xff\xfe"]}), tmp_path / "rows.parquet")
    raw = read(tmp_path / "rows.parquet", tmp_path / "scratch")
    assert [row["text"] for row in rows_of(raw)] == ["fine"]
    assert (raw.read["train"], raw.bad["train"]) == (2, 1)


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match=r"rows\.parquet: cannot be read"):
        read(path, tmp_path / "scratch")


def test_a_pickle_is_refused_without_being_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.pkl", b"not even a pickle")
    with pytest.raises(SettingsError, match="run any program"):
        read(path, tmp_path / "scratch")


@pytest.mark.parametrize("frame", [True, False])
def test_a_pickle_is_read_where_it_is_allowed(tmp_path: Path, frame: bool) -> None:
    rows = [{"text": "a", "n": 1.5}, {"text": None, "n": None}]
    path = write(tmp_path / "rows.pkl", pickle.dumps(pd.DataFrame(rows) if frame else rows))
    raw = read(path, tmp_path / "scratch", allow_pickle=True)
    assert values_of(raw) == [{"text": "a", "n": "1.5"}, {"text": None, "n": None}]


def test_a_pickle_of_something_else_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.pkl", pickle.dumps({"a": 1}))
    with pytest.raises(DataError, match="holds a dict"):
        read(path, tmp_path / "scratch", allow_pickle=True)


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.txt", "a.parquet", "a.csv.gz"]
)
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    raw = read(write(tmp_path / name, b""), tmp_path / "scratch")
    assert raw.read == {"train": 0} and raw.tables == {"train": ()}


@pytest.mark.parametrize(
    ("name", "rows", "settings"),
    [
        ("sms-spam/sms.tsv", 5_574, {"column_names": ("label", "text")}),
        ("sick/train.tsv", 4_500, {}),
        ("dialogsum/dev.jsonl", 500, {}),
        ("multi30k/train.de.gz", 29_000, {"format": "text"}),
        ("tinyshakespeare/input.txt", 40_000, {}),
    ],
)
def test_real_files_are_read_whole(tmp_path: Path, name: str, rows: int, settings: Any) -> None:
    raw = read(shared(name), tmp_path, **settings)
    assert (raw.read["train"], raw.bad["train"]) == (rows, 0)
    assert len(rows_of(raw)) == rows
