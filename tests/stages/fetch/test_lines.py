"""What ends a line, and what a line of CSV or CoNLL is made of."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from job.data.artifacts import LINE
from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch import text
from job.stages.fetch.conll import read_conll
from tests.stages.fetch.test_parallel_text import pair
from tests.stages.fetch.test_parallel_text import read as read_pair
from tests.stages.fetch.test_parallel_text import rows_of as pairs_of
from tests.stages.fetch.test_text import bad_of, read, rows_of, texts_of

# -- carriage returns -------------------------------------------------------------------------


def test_a_stray_carriage_return_is_no_line_of_parallel_text(tmp_path: Path) -> None:
    source = [f"quelle {i}" for i in range(6)]
    target = [f"source {i}" for i in range(6)]
    source[1], target[4] = "eins\rzwei", "four\rfive"
    raw = read_pair(pair(tmp_path, "\n".join(source), "\n".join(target)), tmp_path / "s")
    assert pairs_of(raw) == [(i + 1, source[i], target[i]) for i in range(6)]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.jsonl", "a.conll"])
def test_a_carriage_return_ends_no_line_where_a_line_feed_does(tmp_path: Path, name: str) -> None:
    rows = {
        "a.txt": "one\rtwo\nthree\r\n",
        "a.csv": "text\none\rtwo\nthree\r\n",
        "a.tsv": "text\none\rtwo\nthree\r\n",
        "a.jsonl": '{"text":\r "one\\rtwo"}\n{"text": "three"}\r\n',
        "a.conll": "one\rtwo O\nthree O\r\n",
    }
    raw = read(tmp_path / name, rows[name])
    if name == "a.conll":
        assert json.loads(rows_of(raw)[0]["tokens"]) == ["one\rtwo", "three"]
        return
    assert (texts_of(raw), raw.bad) == (["one\rtwo", "three"], {"train": 0})
    first = 1 + (name in ("a.csv", "a.tsv"))
    assert [row[LINE] for row in rows_of(raw)] == [first, first + 1]


def test_a_macs_file_is_read_line_by_line_however_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"row {i} of many" for i in range(300_000)]
    raw = read(tmp_path / "a.txt", "\r".join(lines), max_row_bytes=1 << 20)
    assert texts_of(raw) == lines
    quoted = 'text,label\r"a\nb",x\rc,y\r'
    assert texts_of(read(tmp_path / "a.csv", quoted)) == ["a\nb", "c"]
    with pytest.raises(
        DataError, match=r"carriage return, and after line \d+,\d+ with a line feed"
    ):
        read(tmp_path / "a.txt", "\r".join(lines) + "\nlast\n", max_row_bytes=1 << 20)


def test_lines_are_as_wc_counts_them(tmp_path: Path) -> None:
    content = "a\n\nb\rc\r\n\x0b\n\u2028d\n"
    pieces = iter([content[:5], content[5:]])
    blocks = list(text.blocks(pieces, "f", Data()))
    assert sum(map(len, blocks)) == content.count("\n")
    assert "".join(line for block in blocks for line in block) == content


# -- csv --------------------------------------------------------------------------------------


def test_escapes_as_spark_writes_them(tmp_path: Path) -> None:
    content = 'text,label\n"she said \\"fine\\", and left",a\n"C:\\\\dir\\\\",b\nplain,c\n'
    raw = read(tmp_path / "a.csv", content, escape="\\")
    assert texts_of(raw) == ['she said "fine", and left', "C:\\dir\\", "plain"]
    assert raw.bad == {"train": 0}


def test_escapes_as_mysql_writes_them(tmp_path: Path) -> None:
    content = 'a\\\tb\tx\nc\\\nd\ty\n\\N\tz\n"e"\t\\N\n'
    raw = read(tmp_path / "a.tsv", content, escape="\\", column_names=("text", "label"))
    assert [(r["text"], r["label"], r[LINE]) for r in rows_of(raw)] == [
        ("a\tb", "x", 1),
        ("c\nd", "y", 2),
        ("", "z", 4),
        ('"e"', "", 5),
    ]


def test_text_behind_a_closing_quote_is_not_guessed_at(tmp_path: Path) -> None:
    lines = [
        "text,label",
        '"she said \\"fine\\" and left",a',
        '"she said \\"no\\", and stayed",b',
        '"he said "hi" there",c',
        '"a" ,d',
        '"C:\\dir\\",e',
        '5" disk,f',
        '"say ""so""",g',
    ]
    raw = read(tmp_path / "a.csv", "\n".join(lines))
    assert [(r["text"], r["label"]) for r in rows_of(raw)] == [
        ("a", "d"),
        ("C:\\dir\\", "e"),
        ('5" disk', "f"),
        ('say "so"', "g"),
    ]
    bad = bad_of(raw)
    assert [b["line"] for b in bad] == [2, 3, 4]
    assert all("FINETUNE_DATA__ESCAPE=\\" in b["reason"] for b in bad)
    assert bad[0]["row"] == lines[1]


def test_a_stray_quote_does_not_take_the_rows_behind_it_along(tmp_path: Path) -> None:
    rows = "".join(f'row {i},"x"\n' for i in range(50))
    raw = read(tmp_path / "a.csv", f'text,label\na,"open\n{rows}')
    assert len(texts_of(raw)) == 50
    assert [(b["line"], "never closed" in b["reason"]) for b in bad_of(raw)] == [(2, True)]


@pytest.mark.parametrize("first", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n'])
def test_excels_first_line_names_the_delimiter(tmp_path: Path, first: str) -> None:
    raw = read(tmp_path / "a.csv", f"{first}text;label\na, b;x\n")
    assert [(r["text"], r["label"], r[LINE]) for r in rows_of(raw)] == [("a, b", "x", 3)]


@pytest.mark.parametrize(("char", "shown"), [(";", "';'"), ("\t", "'\\\\t'"), ("|", r"'\|'")])
def test_another_delimiter_is_named(tmp_path: Path, char: str, shown: str) -> None:
    content = f"text{char}label\na{char}x\n"
    with pytest.raises(DataError, match=f"FINETUNE_DATA__DELIMITER={shown}"):
        read(tmp_path / "a.csv", content)
    assert texts_of(read(tmp_path / "a.csv", content, delimiter=char)) == ["a"]
    raw = read(tmp_path / "a.csv", content, delimiter=",")
    assert raw.read == {"train": 1}, "one column, as somebody says"


# -- conll ------------------------------------------------------------------------------------


def sentences(content: str, **settings: Any) -> tuple[list[tuple[list[str], list[str]]], list[str]]:
    """Tokens and tags of each sentence, and the reasons of those that are bad."""
    data = Data.model_validate(settings)
    roles = data.columns
    chunks = list(read_conll(io.BytesIO(content.encode()), "f", data))
    rows = [
        (json.loads(str(tokens)), json.loads(str(tags)))
        for c in chunks
        for tokens, tags in zip(c.columns[roles.tokens], c.columns[roles.tags], strict=True)
    ]
    return rows, [bad.reason for c in chunks for bad in c.bad]


GERMEVAL = (
    "#\thttp://example.org [2009-10-17]\n1\tAus\tO\tB-X\n2\tNew York\tB-LOC\tO\n3\t#\tO\tO\n"
    "\n#\thttp://example.org/2\n1\tIn\tO\tO\n2\tBonn\tB-LOC\tO\n"
)
UD = (
    "# newdoc\n# text = vámonos al mar\n1-2\tvámonos\t_\t_\t_\t_\n1\tvamos\tir\tVERB\t_\t_\n"
    "2\tnos\tnos\tPRON\t_\t_\n2.1\tya\tya\tADV\t_\t_\n3\tal\tal\tADP\t_\tSpaceAfter=No\n"
)


def test_columns_of_conll_files_are_chosen_by_number() -> None:
    rows, bad = sentences(GERMEVAL, columns={"tokens": 2, "tags": "3"})
    assert rows == [
        (["Aus", "New York", "#"], ["O", "B-LOC", "O"]),
        (["In", "Bonn"], ["O", "B-LOC"]),
    ]
    assert not bad
    named = {"column_names": ["id", "word", "ner", "inner"]}
    for tokens, tags in (("word", "ner"), ("2", "ner")):
        assert sentences(GERMEVAL, columns={"tokens": tokens, "tags": tags}, **named)[0] == rows
    rows, _ = sentences(UD, columns={"tokens": "2", "tags": "4"})
    assert rows == [(["vamos", "nos", "al"], ["VERB", "PRON", "ADP"])]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GERMEVAL, r"column 1 holds 1, 2, 3 ….*COLUMNS__TOKENS.*from 1 to 4"),
        (UD, "column 1 holds 1, 2, 3"),
        (
            "bc/1 0 a O\nbc/1 1 b O\nbc/1 2 c O\n\nbc/1 0 a O\nbc/1 1 b O\nbc/1 2 c O\n",
            "'bc/1' for",
        ),
    ],
)
def test_numbers_are_not_words(content: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        sentences(content)
    sentences(content, columns={"tokens": "1"})  # as somebody says


def test_a_last_column_without_values_has_no_tags() -> None:
    _, bad = sentences("a X _\nb Y _\n\nc Z _\n")
    assert len(bad) == 2 and "COLUMNS__TAGS to its number" in bad[0]


def test_a_column_that_is_not_there_is_named() -> None:
    for columns in ({"tags": "9"}, {"tokens": "0"}):
        with pytest.raises(SettingsError, match="but the file has 2 columns"):
            sentences("a O\n", columns=columns)
    with pytest.raises(SettingsError, match="with the names word, tag"):
        sentences("a O\n", columns={"tags": "ner"}, column_names=["word", "tag"])


def test_only_tabs_and_spaces_separate() -> None:
    rows, bad = sentences("10\u00a0000 O\nM.\u2009X B-PER\n\u00a0 O\n")
    assert rows == [(["10\u00a0000", "M.\u2009X", "\u00a0"], ["O", "B-PER", "O"])] and not bad


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("# a comment of words\n#foo O\n# O\nb O\n", ["#foo", "#", "b"]),
        ("#foo O\n#bar O\n", ["#foo", "#bar"]),
        ("# id 1\tdomain=en\nrome _ _ B-LOC\n# _ _ O\n", ["rome", "#"]),
        ("#\n#begin document (x); part 000\na NN O\n#end document\n", ["a"]),
    ],
)
def test_hash_signs_are_comments_or_words(content: str, tokens: list[str]) -> None:
    rows, bad = sentences(content)
    assert [row[0] for row in rows] == [tokens] and not bad


def test_a_sentence_without_an_end_is_refused() -> None:
    with pytest.raises(DataError, match="f:1: a row takes"):
        sentences("a O\n" * 1_000, max_row_bytes=1_024)
