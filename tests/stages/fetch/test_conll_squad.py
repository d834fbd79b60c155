"""CoNLL and SQuAD files: sentences and questions as rows, and what is no row."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from job.data.quarantine import BadRow
from job.errors import DataError
from job.settings import Data
from job.stages.fetch.conll import read_conll
from job.stages.fetch.formats import format_of
from job.stages.fetch.squad import read_squad


def conll(text: str) -> tuple[list[tuple[Any, Any, int]], list[BadRow]]:
    chunks = list(read_conll(io.BytesIO(text.encode()), "f", Data()))
    rows = [
        (json.loads(str(tokens)), json.loads(str(tags)), line)
        for c in chunks
        for tokens, tags, line in zip(c.columns["tokens"], c.columns["tags"], c.lines, strict=True)
    ]
    return rows, [bad for c in chunks for bad in c.bad]


def test_sentences_end_at_blank_lines() -> None:
    rows, bad = conll("\n\nEU NNP B-ORG\nrejects VBZ O\n \n-DOCSTART- -X- O\n\nPeter NNP B-PER\r\n")
    assert rows == [(["EU", "rejects"], ["B-ORG", "O"], 3), (["Peter"], ["B-PER"], 8)]
    assert not bad


def test_a_tab_separates_where_there_is_one() -> None:
    rows, _ = conll("New York\tB-LOC\n")
    assert rows == [(["New York"], ["B-LOC"], 1)]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a O\nb\nc O\n\nd O\n", 2, "a token without a tag"),
        ("a O\nb X O\n\nd O\n", 2, "3 columns where 2 are expected"),
        ("a O\n\tO\n\nd O\n", 2, "a token without a tag"),
        ("a O\nb\0 O\n\nd O\n", 2, "holds a NUL byte"),
    ],
)
def test_a_sentence_with_a_ragged_line_is_bad(text: str, line: int, reason: str) -> None:
    rows, bad = conll(text)
    assert [row[0] for row in rows] == [["d"]]
    assert [b.line for b in bad] == [line]
    assert bad[0].reason.startswith(reason)
    assert bad[0].text.startswith("a O\n"), "the sentence is kept whole"


def test_a_sentence_may_lie_across_blocks() -> None:
    rows, _ = conll("a O\n" * 12_000 + "\nb O\n")
    assert [(len(row[0]), row[2]) for row in rows] == [(12_000, 1), (1, 12_002)]


def squad(document: Any) -> tuple[list[dict[str, Any]], list[BadRow]]:
    chunks = list(read_squad(io.BytesIO(json.dumps(document).encode()), "f", Data()))
    rows = [
        dict(zip(c.columns, row, strict=True))
        for c in chunks
        for row in zip(*c.columns.values(), strict=True)
    ]
    return rows, [bad for c in chunks for bad in c.bad]


def test_questions_become_rows() -> None:
    answer = {"text": "Rome", "answer_start": 3}
    qas = [
        {"id": "1", "question": "Where?", "answers": [answer, answer]},
        {"id": "2", "question": "Who?", "answers": [], "is_impossible": True},
        {"id": "3", "question": "When?"},
    ]
    document = {"version": "v2.0", "data": [
        {"title": "t", "paragraphs": [{"context": "in Rome", "qas": qas}, {"context": "no qas"}]},
        {"title": "none"},
    ]}  # fmt: skip
    rows, bad = squad(document)
    assert rows[0] == {
        "id": "1",
        "title": "t",
        "context": "in Rome",
        "question": "Where?",
        "answers": '{"text": ["Rome", "Rome"], "answer_start": [3, 3]}',
    }
    assert rows[1]["answers"] == '{"text": [], "answer_start": []}'
    assert rows[2]["answers"] is None, "for the task to refuse"
    assert [b.line for b in bad] == [4, 5]
    assert "no list of questions" in bad[0].reason
    assert "no list of paragraphs" in bad[1].reason


def test_what_is_no_squad_file_is_refused() -> None:
    rows, bad = squad({"data": "x"})
    assert not rows and "no list of paragraphs" in bad[0].reason
    with pytest.raises(DataError, match="not JSON that can be read as rows"):
        squad("x")


def test_names_tell_the_format() -> None:
    assert format_of("a/b.conll.gz") == "conll"
