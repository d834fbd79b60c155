"""Text files: csv, tsv, text, jsonl, json, conll and squad."""

from __future__ import annotations

import json
from pathlib import Path

from tests.corpus.case import Case, Cases, Content, damaged, file

ROWS = [{"text": f"the text of row {i}, “quoted”", "label": "ab"[i % 2]} for i in range(200)]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]
SQUAD = {
    "version": "2",
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "in Rome they are",
                    "qas": [
                        {
                            "id": str(i),
                            "question": f"where {i}?",
                            "answers": [{"text": "Rome", "answer_start": 3}],
                        }
                        for i in range(50)
                    ],
                }
            ],
        }
    ],
}
WHOLE = {
    "csv": "text,label\n" + "".join(f'"{r["text"]}",{r["label"]}\n' for r in ROWS),
    "tsv": "text\tlabel\n" + "".join(f"{r['text']}\t{r['label']}\n" for r in ROWS),
    "txt": "".join(f"{row['text']}\n" for row in ROWS),
    "jsonl": "\n".join(LINES),
    "json": json.dumps(ROWS, indent=1),
    "conll": "".join(
        f"row{i} O\ntext B-{r['label']}\nof I-{r['label']}\n\n" for i, r in enumerate(ROWS)
    ),
    "squad": json.dumps(SQUAD),
}
"""A file of each format with which nothing is wrong."""
DEEP = "[" * 100_000

SETTINGS: dict[str, dict[str, str]] = {
    "conll": {"TASK": "token-classification"},
    "squad": {"TASK": "question-answering", "DATA__FORMAT": "squad"},
    "txt": {"TASK": "fill-mask"},
}


def cases() -> Cases:
    """Every format with every kind of damage, and what only one of them can have."""
    for suffix, whole in WHOLE.items():
        content = whole.encode()
        half = len(content) // 2
        kinds: dict[str, Content] = {
            "whole": content,
            "empty": b"",
            "blank lines": b"\n" * 100_000,
            "cut": content[:half],
            "cut within a character": content[: content.find("“".encode()) + 1],
            "nul": content[:half] + b"\0\0" + content[half:],
            "latin-1": content.replace(b"text", b"t\xe9xt"),
            "utf-16": whole.encode("utf-16"),
            "utf-16 without a mark": whole.encode("utf-16-le"),
            "carriage returns": content.replace(b"\n", b"\r"),
            "some carriage returns": content.replace(b"of", b"o\rf"),
            "noise": bytes(range(256)) * 200,
            "damaged": damaged(content, 1),
            "damaged otherwise": damaged(content, 2),
            "one long line": lambda: b"x" * (20 << 20),
            "another's": WHOLE["csv" if suffix != "csv" else "jsonl"].encode(),
        }
        for kind, data in kinds.items():
            yield Case(f"{suffix}/{kind}", file(f"a.{suffix}", data), SETTINGS.get(suffix, {}))
    yield from _delimited()
    yield from _json()
    yield from _conll()


def _delimited() -> Cases:
    for kind, content in {
        "quote never closed": 'text,label\na,"open\n' + "b,x\n" * 15_000,
        "quotes never closed": "text,label\n" + 'a","\n' * 20_000,
        "columns of nothing": "text,label\n" + "," * 50_000 + "\n",
        "many columns": ",".join(f"c{i}" for i in range(40_000)) + "\n" + ",".join("1" * 40_000),
        "the same column often": ",".join(["text"] * 30_000) + "\na\n",
        "header alone": "text,label\n",
        "header with a name of the job's": "text,__line\na,b\n",
        "backslashes": 'text,label\n"she said \\"a\\", b",c\n' * 9,
        "semicolons": "text;label\na;b\n",
        "sep": "sep=;\ntext;label\na;b\n",
        "quotes alone": '"' * 100_001,
    }.items():
        yield Case(f"csv/{kind}", file("a.csv", content))


def _json() -> Cases:
    deep = f'{{"text": {"[" * 500}{"]" * 500}, "label": "a"}}'
    for kind, content in {
        "a deep row": "\n".join([*LINES, deep]),
        "a deep row first": "\n".join([deep, *LINES]),
        "a bottomless row": "\n".join([*LINES, DEEP]),
        "half a character": '{"text": "\\ud83d", "label": "a"}\n',
        "a key twice": '{"text": "a", "text": "b", "label": "a"}\n',
        "no keys": "{}\n{}\n",
        "an empty key": '{"": 1, "text": "a", "label": "b"}\n',
        "numbers": "1\n2\n3\n",
        "a long number": '{"text": "a", "label": %s}\n' % ("9" * 5_000),
        "infinite": '{"text": "a", "label": Infinity}\n{"text": "b", "label": NaN}\n',
        "labels that are deep": json.dumps({"text": "a", "label": DEEP}) + "\n",
        "labels of many kinds": '{"text":"a","label":[1]}\n{"text":"b","label":{"a":1}}\n'
        '{"text":"c","label":true}\n',
        "a new key each": "\n".join(f'{{"key{i}": {i}}}' for i in range(20_000)),
        "written to be read": json.dumps(ROWS, indent=2),
    }.items():
        yield Case(f"jsonl/{kind}", file("a.jsonl", content))
    for kind, content in {
        "bottomless": DEEP,
        "a deep row": f"[{', '.join([*LINES, deep])}]",
        "objects without an end": '{"a":' * 100_000,
        "text without an end": '[{"text": "' + "a" * (20 << 20),
        "two lists": '{"a": [{"text": "a"}], "b": [{"text": "b"}]}',
        "one object": json.dumps(ROWS[0], indent=1),
        "objects in a row": "\n".join(json.dumps(row, indent=1) for row in ROWS),
        "many numbers": f"[{'1,' * 100_000}1]",
        "blank space": "[" + " " * (8 << 20) + "]",
        "after the end": json.dumps(ROWS) + "x",
        "a name alone": '"text"',
    }.items():
        yield Case(f"json/{kind}", file("a.json", content))
    for kind, value in {
        "no articles": {"data": []},
        "articles that are text": {"data": ["a"]},
        "answers that are text": {"data": [{"paragraphs": [{"context": "a", "qas": ["b"]}]}]},
        "a float start": json.loads(json.dumps(SQUAD).replace(": 3", ": 3.0")),
    }.items():
        yield Case(f"squad/{kind}", file("a.squad", json.dumps(value)), SETTINGS["squad"])
    chats = {"TASK": "text-generation", "DATA__COLUMNS__MESSAGES": "messages"}
    for kind, messages in {"deep": DEEP, "text": "hello", "a list of text": '["a"]'}.items():
        line = json.dumps({"messages": messages})
        yield Case(f"chat/{kind}", file("a.jsonl", line), chats)


def _conll() -> Cases:
    for kind, content in {
        "no end of a sentence": "a O\n" * 200_000,
        "numbers": "".join(f"{i}\ta\tO\n" for i in range(1, 9)) + "\n",
        "comments alone": "# a\n" * 20_000,
        "ragged": "a O\nb\nc d e f O\n\n" * 50,
        "tags that are none": "a Q\nb Z\n\n" * 50,
        "bare letters": "".join(f"a{i} B\nb I\nc O\n\n" for i in range(200)),
    }.items():
        yield Case(f"conll/{kind}", file("a.conll", content), SETTINGS["conll"])
    beyond = {**SETTINGS["conll"], "DATA__COLUMNS__TAGS": "9"}
    yield Case("conll/a column that is not there", file("a.conll", WHOLE["conll"]), beyond)

    def parallel(folder: Path) -> None:
        (folder / "a.de").write_text("eins\nzwei\r\ndrei\n")
        (folder / "a.en").write_text("one\ntwo\n")

    uneven = {"DATA__TRAIN": "{folder}/a.de", "DATA__TRAIN_TARGET": "{folder}/a.en"}
    yield Case("parallel/uneven", parallel, {"TASK": "translation", **uneven})
