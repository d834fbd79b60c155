"""Typed files: parquet, Arrow streams and files, pickles."""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tests.corpus.case import Case, Cases, damaged, file
from tests.corpus.texts import ROWS

LONG = 3_000_000


def cases() -> Cases:
    """Every kind with every damage, and what is small until it is read."""
    table = pa.Table.from_pylist(ROWS)
    whole = {
        "parquet": _parquet(table),
        "arrow": _arrow(table, pa.ipc.new_stream),
        "feather": _arrow(table, pa.ipc.new_file),
    }
    for suffix, content in whole.items():
        half = len(content) // 2
        kinds = {
            "whole": content,
            "empty": b"",
            "cut": content[:half],
            "without its end": content[:-12],
            "without its beginning": content[12:],
            "magic alone": content[:8],
            "zeros": bytes(10_000),
            "noise within": content[:half] + bytes(range(256)) + content[half + 256 :],
            **{f"damaged {seed}": damaged(content, seed) for seed in range(8)},
        }
        for kind, data in kinds.items():
            yield Case(f"{suffix}/{kind}", file(f"a.{suffix}", data))
    yield from _lies(whole["arrow"])
    yield from _small_until_read()
    yield from _strange_types()
    for kind, data in {
        "calls a program": b"cos\nsystem\n(S'exit 70'\ntR.",
        "an object": pickle.dumps({"a": 1}),
        "cut": pickle.dumps(ROWS)[:-9],
        "deep": pickle.dumps([{"text": _nested(300), "label": "a"}]),
    }.items():
        allowed = "false" if kind == "calls a program" else "true"
        yield Case(f"pickle/{kind}", file("a.pkl", data), {"DATA__ALLOW_PICKLE": allowed})


def _lies(stream: bytes) -> Cases:
    """Offsets that point elsewhere: at each place that may hold some."""
    sizes = [len(row["text"].encode()) for row in ROWS[:3]]
    place = stream.find(struct.pack("<iii", 0, sizes[0], sizes[0] + sizes[1]))
    for kind, lie in {"beyond": 60_000, "far": 1 << 30, "negative": -8, "minus one": -1}.items():
        raw = bytearray(stream)
        raw[place + 8 : place + 12] = struct.pack("<i", lie)
        yield Case(f"arrow/offsets {kind}", file("a.arrow", bytes(raw)))


def _small_until_read() -> Cases:
    yield Case("arrow/one value named often", file("a.arrow", lambda: _arrow(_named_often())))
    packed = {"compression": "zstd", "store_schema": False}
    yield Case(
        "parquet/one value named often",
        file("a.parquet", lambda: _parquet(_named_often(), **packed)),
    )
    yield Case("arrow/one value that runs", file("a.arrow", lambda: _arrow(_running())))
    yield Case("arrow/one value seen often", file("a.arrow", lambda: _arrow(_seen_often())))
    nulls = pa.Array.from_buffers(pa.null(), (1 << 31) - 2, [None])
    yield Case("arrow/rows of nothing", file("a.arrow", _arrow(pa.table({"text": nulls}))))
    yield Case(
        "arrow/zeros, compressed", file("a.arrow", lambda: _arrow(_zeros(), compression="zstd"))
    )
    yield Case("parquet/one large cell", file("a.parquet", _large_cell))
    wide = pa.table({f"c{i}": ["a"] for i in range(12_000)})
    yield Case("arrow/many columns", file("a.arrow", _arrow(wide)))


def _named_often() -> pa.Table:
    often = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), ["x" * LONG])
    return _labelled(often)


def _running() -> pa.Table:
    value = pa.array(["x" * LONG])
    return _labelled(pa.RunEndEncodedArray.from_arrays(pa.array([5_000], pa.int32()), value))


def _seen_often() -> pa.Table:
    view = struct.pack("<i4sii", LONG, b"xxxx", 0, 0)
    buffers = [None, pa.py_buffer(view * 5_000), pa.py_buffer(b"x" * LONG)]
    return _labelled(pa.Array.from_buffers(pa.string_view(), 5_000, buffers))


def _zeros() -> pa.Table:
    return pa.table({"text": pa.array([bytes(LONG)] * 300, pa.large_binary())})


def _large_cell() -> bytes:
    table = _labelled(pa.array(["x" * (300 << 20)]))
    return _parquet(table, compression="zstd", use_dictionary=False)


def _strange_types() -> Cases:
    """Columns of a type that text is seldom given as."""
    number = len(ROWS)
    columns: dict[str, Any] = {
        "bytes that are not text": pa.array([b"\xff\xfe"] * number),
        "lists of lists": pa.array([[["a"]]] * number),
        "deep lists": pa.array([_nested(60)] * number),
        "objects": pa.array([{"a": {"b": None}}] * number),
        "maps": pa.array([[("a", 1)]] * number, pa.map_(pa.string(), pa.int64())),
        "times": pa.array([0] * number, pa.timestamp("ns", "Europe/Berlin")),
        "decimals": pa.array([None] * number, pa.decimal256(60, 2)),
        "half floats": pa.array([None] * number, pa.float16()),
        "nulls": pa.nulls(number),
        "unions": pa.UnionArray.from_sparse(
            pa.array([0] * number, pa.int8()), [pa.array(["a"] * number)]
        ),
    }
    for kind, column in columns.items():
        yield Case(f"arrow/{kind}", file("a.arrow", _arrow(_labelled(column))))
    twice = pa.table([["a"], ["b"]], names=["text", "text"])
    yield Case("arrow/a column twice", file("a.arrow", _arrow(twice)))
    features = b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": 3}}}}'
    odd = pa.Table.from_pylist(ROWS).replace_schema_metadata({b"huggingface": features})
    yield Case("parquet/classes without names", file("a.parquet", _parquet(odd)))


def _labelled(text: pa.Array) -> pa.Table:
    return pa.table({"text": text, "label": pa.array(["ab"[i % 2] for i in range(len(text))])})


def _nested(depth: int) -> Any:
    value: Any = "a"
    for _ in range(depth):
        value = [value]
    return value


def _parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(table, sink, **options)
    return sink.getvalue()


def _arrow(table: pa.Table, opener: Any = pa.ipc.new_stream, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with opener(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
