"""What real csv, text and JSON files hold: odd line ends, encodings, quotes, ragged rows."""

from __future__ import annotations

import codecs
import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.data.arrow import stream
from job.data.artifacts import FILE, LINE, RawRows
from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch import fetch, resolve_inputs


def read(path: Path, content: bytes | str, **data: Any) -> RawRows:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    chosen = Data(train=str(path), **data)
    inputs = resolve_inputs(chosen)
    return fetch(chosen, inputs, path.parent / "scratch")


def rows_of(raw: RawRows) -> list[dict[str, Any]]:
    rows = [row for path in raw.tables["train"] for b in stream(path) for row in b.to_pylist()]
    return [{k: v for k, v in row.items() if k != FILE} for row in rows]


def texts_of(raw: RawRows) -> list[str]:
    return [row["text"] for row in rows_of(raw)]


def bad_of(raw: RawRows) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.quarantine.read_text().splitlines()]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_and_the_physical_line_of_a_rows_start(tmp_path: Path, end: str) -> None:
    lines = ["text,label", 'a,"x', 'y"', "", "b,z"]
    raw = read(tmp_path / "a.csv", end.join(lines))
    assert rows_of(raw) == [
        {"text": "a", "label": f"x{end}y", LINE: 2},
        {"text": "b", "label": "z", LINE: 5},
    ]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_a_byte_order_mark_wins(tmp_path: Path, mark: bytes, encoding: str) -> None:
    raw = read(tmp_path / "a.csv", mark + "text\nhé\n".encode(encoding), encoding="latin-1")
    assert texts_of(raw) == ["hé"]


def test_another_encoding_is_a_setting(tmp_path: Path) -> None:
    content = "text\nhé €\n".encode("cp1252")
    assert texts_of(read(tmp_path / "a.csv", content, encoding="cp1252")) == ["hé €"]
    with pytest.raises(SettingsError, match="FINETUNE_DATA__ENCODING=utf-9"):
        read(tmp_path / "a.csv", content, encoding="utf-9")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_a_row_with_foreign_bytes_is_put_aside(tmp_path: Path, name: str) -> None:
    raw = read(tmp_path / name, b"text\nfine\nh\xe9\nalso\n")
    assert texts_of(raw)[-2:] == ["fine", "also"]
    assert (raw.read["train"] - len(texts_of(raw)), raw.bad["train"]) == (1, 1)
    (bad,) = bad_of(raw)
    assert (bad["split"], bad["file"], bad["line"]) == ("train", str(tmp_path / name), 3)
    assert "FINETUNE_DATA__ENCODING" in bad["reason"] and "udce9" in bad["row"]


def test_a_nul_byte_puts_its_row_aside(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.csv", "text,label\na\0b,x\nc,y\n")
    assert texts_of(raw) == ["c"] and "NUL" in bad_of(raw)[0]["reason"]


def test_utf_16_without_a_mark_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="FINETUNE_DATA__ENCODING"):
        read(tmp_path / "a.csv", "text\na\n".encode("utf-16-le"))


def test_broken_utf_16_costs_its_row_only(tmp_path: Path) -> None:
    content = "text\na".encode("utf-16") + b"\x3d\xd8" + "\nb\n".encode("utf-16-le")
    raw = read(tmp_path / "a.csv", content)
    assert texts_of(raw) == ["b"] and raw.bad == {"train": 1}


def test_ragged_rows_are_put_aside_with_their_line(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.csv", "text,label\na,b\nc\nd,e,f\ng,\n")
    assert [(row["text"], row["label"], row[LINE]) for row in rows_of(raw)] == [
        ("a", "b", 2),
        ("g", "", 5),
    ]
    assert [(bad["line"], bad["reason"], bad["row"]) for bad in bad_of(raw)] == [
        (3, "1 columns where 2 are expected", "c"),
        (4, "3 columns where 2 are expected", "d,e,f"),
    ]
    assert (raw.read, raw.bad) == ({"train": 4}, {"train": 2})


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    rows = "".join(f"row {i},x\n" for i in range(30_000))
    raw = read(tmp_path / "a.csv", f'text,label\na,"open\n{rows}')
    assert len(texts_of(raw)) == 30_000 and rows_of(raw)[0][LINE] == 3
    (bad,) = bad_of(raw)
    assert bad["line"] == 2 and "FINETUNE_DATA__QUOTING=false" in bad["reason"]
    assert (
        len(texts_of(read(tmp_path / "a.csv", f'text,label\na,"open\n{rows}', quoting=False)))
        == 30_001
    )


def test_a_lone_quote_as_the_last_byte(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.csv", 'text\na\n"')
    assert texts_of(raw) == ["a"] and bad_of(raw)[0]["line"] == 3


def test_a_long_quoted_field_over_many_blocks(tmp_path: Path) -> None:
    field = "a line of text\n" * 9_000 + "é" * 2_000_000
    raw = read(tmp_path / "a.csv", f'text,label\n"{field}",x\nb,y\n')
    assert texts_of(raw) == [field, "b"] and rows_of(raw)[1][LINE] == 9_003


def test_quotes_are_text_in_a_tsv_file_by_default(tmp_path: Path) -> None:
    content = 'text\tlabel\n"a\tx\nb "c"\ty\n'
    assert texts_of(read(tmp_path / "a.tsv", content)) == ['"a', 'b "c"']
    quoted = read(tmp_path / "a.tsv", 'text\tlabel\n"a\tb"\tx\n', quoting=True)
    assert texts_of(quoted) == ["a\tb"]


def test_names_for_a_file_without_a_header_and_another_delimiter(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.csv", "x;a\ny;b\n", column_names=("label", "text"), delimiter=";")
    assert [(row["label"], row["text"], row[LINE]) for row in rows_of(raw)] == [
        ("x", "a", 1),
        ("y", "b", 2),
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (",text", "column 1 has no name"),
        ("text,text", "'text' appears twice"),
        ("text,__line", "taken by the job"),
        ("a,\udce9", "FINETUNE_DATA__ENCODING"),
    ],
)
def test_headers_that_cannot_be_used(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.csv", f"{header}\na,b\n".encode("utf-8", "surrogateescape"))


def test_only_a_header(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "text,label\n").read == {"train": 0}


def test_separators_that_python_takes_for_line_ends_are_text(tmp_path: Path) -> None:
    assert texts_of(read(tmp_path / "a.txt", "a\u2028b\x0bc\x1cd\n\ne")) == [
        "a\u2028b\x0bc\x1cd",
        "",
        "e",
    ]


def test_an_endless_line_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt:2: a row takes .*MAX_ROW_BYTES above 16777216"):
        read(tmp_path / "a.txt", "one\n" + "x" * (20 << 20))


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        '{"text": "a", "label": 3, "flag": true, "tags": ["é", 1]}',
        "",
        '{"text": "b", "label": null, "more": {"x": 1}, "score": NaN}',
        '{"text": ',
        "[1]",
        '{"text": "c", "text": "d"}',
        '{"text": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"": 1}',
    ]
    raw = read(tmp_path / "a.jsonl", "\n".join(lines))
    first, second = rows_of(raw)
    assert first | {} == {
        "text": "a", "label": "3", "flag": "true", "tags": '["é", 1]', "more": None, "score": None, LINE: 1
    }  # fmt: skip
    assert (second["text"], second["label"], second["more"], second[LINE]) == (
        "b",
        None,
        '{"x": 1}',
        3,
    )
    assert sorted(bad["line"] for bad in bad_of(raw)) == [4, 5, 6, 7, 8, 9]
    reasons = [bad["reason"] for bad in bad_of(raw)]
    assert reasons[0].startswith("not JSON") and reasons[1] == "not a JSON object"
    assert reasons[2] == "a key appears twice in the object"


def test_a_column_that_comes_late_opens_another_part(tmp_path: Path) -> None:
    lines = ['{"text": "a"}'] * 6_000 + ['{"text": "b", "label": "x"}']
    raw = read(tmp_path / "a.jsonl", "\n".join(lines))
    assert len(raw.tables["train"]) == 2
    assert rows_of(raw)[-1]["label"] == "x" and len(rows_of(raw)) == 6_001


@pytest.mark.parametrize(
    "content",
    [
        '[{"text": "a"}, {"text": "b"}]',
        '{"version": [1, 2], "about": {"x": [{}]}, "data": [{"text": "a"}, {"text": "b"}], "n": 1}',
        '{"text": "a"}\n{"text": "b"}\n',
        '{\n "text": "a",\n "tags": []\n}\n{\n "text": "b"\n}\n',
    ],
)
def test_json_documents(tmp_path: Path, content: str) -> None:
    assert texts_of(read(tmp_path / "a.json", content)) == ["a", "b"]


def test_a_large_json_document_is_read_in_pieces(tmp_path: Path) -> None:
    rows = [{"text": f"row {i} " + "é" * (i % 900)} for i in range(9_000)]
    rows[5]["text"] = "long " * 600_000
    raw = read(tmp_path / "a.json", json.dumps({"data": [*rows, 7]}, ensure_ascii=False, indent=1))
    assert texts_of(raw) == [row["text"] for row in rows]
    assert [(bad["line"], bad["reason"]) for bad in bad_of(raw)] == [(9_001, "not a JSON object")]


@pytest.mark.parametrize(
    "content", ['{"a": 1', '[{"text": "a"}', '[{"a": 1}] x', '{"a": [{}], "b": [{}]}', "nonsense"]
)
def test_json_documents_that_hold_no_rows(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"a\.json"):
        read(tmp_path / "a.json", content)


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELL, CELL), max_size=30), st.sampled_from(["\r\n", "\n"]))
def test_whatever_is_written_as_csv_comes_back(rows: list[tuple[str, str]], end: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
                [("text", "b"), *rows]
            )
        raw = read(path, path.read_bytes())
        assert [(row["text"], row["b"]) for row in rows_of(raw)] == rows
        assert raw.bad == {"train": 0}
