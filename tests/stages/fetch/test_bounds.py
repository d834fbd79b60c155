"""What small files can become: refused with the place, before memory, disk or time are gone."""

from __future__ import annotations

import io
import itertools
import json
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from job.data.artifacts import LINE, RawRows
from job.errors import DataError
from job.settings import Data
from job.stages.fetch import bounds, delimited, fetch, resolve_inputs, text
from job.stages.fetch.arrow_messages import batch_sizes
from job.stages.fetch.chunks import check_names
from tests.stages.fetch.test_formats import rows_of, values_of
from tests.support.compression import COMPRESSED


def read(path: Path, **data: Any) -> RawRows:
    chosen = Data.model_validate({"train": str(path), **data})
    return fetch(chosen, resolve_inputs(chosen), path.parent / "scratch")


def arrow(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.fixture
def low_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FLOOR", 1 << 20)


# -- Arrow within its buffers -----------------------------------------------------------------


def planted(array: pa.Array, before: tuple[int, ...], after: tuple[int, ...]) -> bytes:
    """A stream in which one run of offsets or indices is another."""
    raw = bytearray(arrow(pa.table({"text": array})))
    found = raw.find(struct.pack(f"<{len(before)}i", *before))
    assert found > 0
    raw[found : found + 4 * len(before)] = struct.pack(f"<{len(after)}i", *after)
    return bytes(raw)


LIES = {
    "text": planted(pa.array(["a" * 20, "b" * 20]), (0, 20, 40), (0, 20, 100)),
    "far": planted(pa.array(["a" * 20, "b" * 20]), (0, 20, 40), (0, 20, 1 << 30)),
    "backward": planted(pa.array(["a" * 20, "b" * 20]), (0, 20, 40), (0, 40, 20)),
    "negative": planted(pa.array([b"a" * 20, b"b" * 20]), (0, 20, 40), (-4, 20, 40)),
    "lists": planted(pa.array([[1] * 9, [2] * 9]), (0, 9, 18), (0, 9, 1 << 20)),
    "indices": planted(
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1], pa.int32()), pa.array(["x", "y"])),
        (0, 1, 0, 1),
        (0, 1, 0, 1 << 24),
    ),
    "views": planted(pa.array(["a" * 23, "b" * 23], pa.string_view()), (0, 23), (9_999, 23)),
    "objects": planted(pa.array([{"a": "x" * 20}, {"a": "y" * 20}]), (0, 20, 40), (0, 20, 9_999)),
}


@pytest.mark.parametrize("kind", LIES)
def test_offsets_that_lie_make_no_rows_of_this_process(tmp_path: Path, kind: str) -> None:
    (tmp_path / "rows.arrow").write_bytes(LIES[kind])
    with pytest.raises(DataError, match=r"rows\.arrow: cannot be read") as caught:
        read(tmp_path / "rows.arrow")
    assert caught.value.exit_code == 65


def test_text_in_arrow_that_is_not_utf_8_costs_its_row_only(tmp_path: Path) -> None:
    raw = arrow(pa.table({"text": pa.array(["fine", "broken"])})).replace(b"broken", b"br\xffken")
    (tmp_path / "rows.arrow").write_bytes(raw)
    rows = read(tmp_path / "rows.arrow")
    assert [row["text"] for row in rows_of(rows)] == ["fine"] and rows.bad == {"train": 1}


# -- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
def test_a_batch_is_measured_before_it_is_unpacked(tmp_path: Path, compression: str | None) -> None:
    table = pa.table({"text": ["a" * 3_000_000] * 5, "label": list("abcde")})
    for opener in (pa.ipc.new_stream, pa.ipc.new_file):
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with opener(str(tmp_path / "rows.arrow"), table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=2)
        sizes = list(batch_sizes(io.BytesIO((tmp_path / "rows.arrow").read_bytes())))
        assert [round(size / 3_000_000) for size in sizes] == [2, 2, 1]
        with pytest.raises(DataError, match=r"record batch 1 takes 6,.*MAX_BATCH_BYTES"):
            read(tmp_path / "rows.arrow", max_batch_bytes=5_000_000)
        assert read(tmp_path / "rows.arrow").read == {"train": 5}


def named_often() -> Iterator[pa.Array]:
    """Ten thousand rows of one megabyte each, in a little more than one."""
    long, number = pa.array(["x" * 1_000_000]), 10_000
    yield pa.DictionaryArray.from_arrays(pa.array([0] * number, pa.int32()), long)
    yield pa.RunEndEncodedArray.from_arrays(pa.array([number], pa.int32()), long)
    (_, _, content), view = long.buffers(), struct.pack("<i4sii", 1_000_000, b"xxxx", 0, 0)
    views = pa.py_buffer(view * number)
    yield pa.Array.from_buffers(pa.string_view(), number, [None, views, content])


@pytest.mark.parametrize("array", named_often(), ids=lambda array: type(array).__name__)
@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_a_value_that_is_named_often_is_copied_a_few_times(
    tmp_path: Path, low_floor: None, suffix: str, array: pa.Array
) -> None:
    table = pa.table({"text": array})
    path = tmp_path / f"rows.{suffix}"
    if suffix == "arrow":
        path.write_bytes(arrow(table))
    elif isinstance(array, pa.DictionaryArray):
        parquet.write_table(table, path, compression="zstd", store_schema=False)
    else:
        return
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="bytes become more than"):
        read(path, max_expansion=20)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500_000, "kilobytes"


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.arrow", "a.conll"])
def test_a_row_has_a_bound(tmp_path: Path, name: str) -> None:
    long = "word " * 3_000
    rows = pa.table({"text": ["one", long]})
    path = tmp_path / name
    if name.endswith("parquet"):
        parquet.write_table(rows, path)
    elif name.endswith("arrow"):
        path.write_bytes(arrow(rows))
    elif name.endswith("conll"):
        path.write_text("a O\n\n" + "b O\n" * 3_000)
    elif name.endswith("csv"):
        path.write_text(f"text\none\n{long}\n")
    else:
        lines = [json.dumps(row) for row in rows.to_pylist()]
        path.write_text("\n".join(lines) if name == "a.jsonl" else f"[{', '.join(lines)}]")
    place = {"a.json": 2, "a.jsonl": 2, "a.parquet": 2, "a.arrow": 2}.get(name, 3)
    with pytest.raises(DataError, match=rf"{name}:{place}: a row takes .*MAX_ROW_BYTES above 2000"):
        read(path, max_row_bytes=2_000)
    assert read(path).bad == {"train": 0}


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_what_a_packed_file_may_become_has_a_bound(
    tmp_path: Path, low_floor: None, suffix: str
) -> None:
    path = tmp_path / f"a.jsonl.{suffix}"
    path.write_bytes(COMPRESSED[suffix](b'{"text": "the same again"}\n' * 100_000))
    with pytest.raises(DataError, match=r"bytes become more than 1,048,576.*MAX_EXPANSION above 2"):
        read(path, max_expansion=2)


def test_rows_of_nothing_have_a_bound(tmp_path: Path, low_floor: None) -> None:
    """A null takes no byte, however many of them there are."""
    nulls = pa.Array.from_buffers(pa.null(), (1 << 31) - 2, [None])
    (tmp_path / "a.arrow").write_bytes(arrow(pa.table({"text": nulls})))
    with pytest.raises(DataError, match="MAX_EXPANSION"):
        read(tmp_path / "a.arrow")


def test_what_goes_to_the_quarantine_counts(tmp_path: Path, low_floor: None) -> None:
    (tmp_path / "a.json").write_text(f"[{'1,' * 20_000}1]")
    with pytest.raises(DataError, match="MAX_EXPANSION"):
        read(tmp_path / "a.json", max_expansion=2)


def test_columns_have_a_bound(tmp_path: Path) -> None:
    lines = (json.dumps({"text": "a", f"key{i}": 1}) for i in range(3_000))
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"a\.jsonl: it has .* columns or more, 2,000 are allowed"):
        read(tmp_path / "a.jsonl", max_columns=2_000)
    raw = read(tmp_path / "a.jsonl")
    assert raw.read == {"train": 3_000} and values_of(raw)[-1]["key2999"] == "1"


# -- time -------------------------------------------------------------------------------------


def test_many_columns_are_looked_at_once() -> None:
    class Name(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    check_names([Name(f"c{i}") for i in range(5_000)], "a.csv")
    assert Name.compared < 30_000


def test_quotes_that_are_never_closed_end_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"text,label\n" + b'a","\n' * 40_000
    monkeypatch.setattr(delimited, "REREAD_FLOOR", 1 << 20)
    read = 0
    parsed = delimited._parsed

    def counted(lines: list[str], dialect: delimited.Dialect) -> Any:
        nonlocal read
        read += sum(map(len, lines))
        return parsed(lines, dialect)

    monkeypatch.setattr(delimited, "_parsed", counted)
    with pytest.raises(DataError, match=r"a\.csv:\d+: as in many lines before, a quote that"):
        list(delimited.read_csv(io.BytesIO(content), "a.csv", Data()))
    assert read < (1 << 20) + 20 * len(content)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json", "a.conll"])
@pytest.mark.parametrize("blank", ["\n", "  \t"])
def test_blank_space_without_an_end_is_not_read_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, blank: str
) -> None:
    monkeypatch.setattr(text, "MAX_BLANK", 1 << 19)
    (tmp_path / name).write_text("a,b\n" * (name != "a.json") + blank * (2 << 20))
    with pytest.raises(DataError, match=r"white space in a row|a row takes"):
        read(tmp_path / name, max_row_bytes=1 << 20)


def test_a_key_is_new_in_every_line(tmp_path: Path) -> None:
    lines = (json.dumps({f"key{i}": i}) for i in itertools.count())
    (tmp_path / "a.jsonl").write_text("\n".join(itertools.islice(lines, 50_000)))
    with pytest.raises(DataError, match=r"10,000 are allowed|MAX_EXPANSION"):
        read(tmp_path / "a.jsonl")


def test_the_line_of_a_row_is_kept(tmp_path: Path) -> None:
    parquet.write_table(
        pa.table({"text": list("abcdef")}), tmp_path / "a.parquet", row_group_size=2
    )
    assert [row[LINE] for row in rows_of(read(tmp_path / "a.parquet"))] == [1, 2, 3, 4, 5, 6]
