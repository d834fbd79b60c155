"""Settings files and variables."""

from __future__ import annotations

import os
from pathlib import Path

from tests.corpus.case import Case, Cases, file

DEEP = 20_000
LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


def cases() -> Cases:
    """What people, editors and templates leave in them."""
    for kind, content in {
        "empty": "",
        "a list": "- a\n- b\n",
        "a number": "7\n",
        "text": "just words\n",
        "null": "data: null\n",
        "a tab": "data:\n\ttrain: a\n",
        "not closed": 'data: {train: "a\n',
        "two documents": "name: a\n---\nname: b\n",
        "a key twice": "name: a\nname: b\n",
        "an unknown key": "nmae: a\n",
        "an unknown key below": "data:\n  trian: a\n",
        "a list for a section": "data: [1, 2]\n",
        "text for a section": "data: words\n",
        "a section for a number": "seed: {a: 1}\n",
        "text for a number": "train: {epochs: many}\n",
        "not a number": "train: {learning_rate: .nan}\n",
        "infinite": "train: {learning_rate: .inf}\n",
        "a large number": f"seed: {'9' * 5_000}\n",
        "a time for a name": "name: 2026-01-01\n",
        "keys that are numbers": "1: a\n",
        "keys that are lists": "? [a, b]\n: c\n",
        "an object of Python's": "name: !!python/object/apply:os.system ['exit 70']\n",
        "an alias to itself": "data: &a {train: *a}\n",
        "aliases of aliases": LAUGHS,
        "deep": "data: " + "[" * DEEP,
        "deep and closed": "data: " + "[" * 300 + "]" * 300,
        "a nul": "name: a\0b\n",
        "latin-1": "name: caf\udce9\n",
        "a template": "name: {{ .Values.name }}\n",
        "conflict marks": "<<<<<<< HEAD\nname: a\n=======\nname: b\n>>>>>>> x\n",
        "many wrong keys": "".join(f"key{i}: 1\n" for i in range(2_000)),
    }.items():
        yield _read(f"yaml/{kind}", "a.yaml", content)
    for kind, content in {
        "empty": "",
        "cut": '{"name": "a"',
        "a comma too many": '{"name": "a",}',
        "a list": "[]",
        "deep": "[" * DEEP,
        "deep below": '{"data": ' + '{"a": ' * DEEP,
        "a long number": '{"seed": %s}' % ("9" * 5_000),
        "half a character": '{"name": "\\ud83d"}',
        "infinite": '{"train": {"learning_rate": Infinity}}',
        "another's": "name: a\n",
    }.items():
        yield _read(f"json settings/{kind}", "a.json", content)
    yield _read("yaml/utf-16", "a.yaml", "name: a\n".encode("utf-16"))
    yield _read("yaml/noise", "a.yaml", bytes(range(256)) * 50)
    yield _read("yaml/an unknown suffix", "a.toml", "name = 'a'\n")
    path = {"CONFIG": "{folder}/a.yaml"}
    yield Case("yaml/nothing there", lambda _: None, path, "config")
    yield Case("yaml/a folder", lambda folder: (folder / "a.yaml").mkdir(), path, "config")
    yield Case("yaml/a link to itself", _loop, path, "config")
    for kind, settings in {
        "json cut": {"DATA__TRAIN": '["a"'},
        "json of another kind": {"DATA__TRAIN": '{"uri": 1}'},
        "deep json": {"DATA__TRAIN": "[" * DEEP},
        "deep json of a map": {"CLEAN__DERIVE": '{"a":' * DEEP},
        "nothing": {"DATA__TRAIN": " "},
        "an unknown name": {"DATA__TRIAN": "a"},
        "a name too deep": {"DATA__TRAIN__A__B__C": "a"},
        "a number that is none": {"SEED": "1e"},
        "a large number": {"SEED": "9" * 5_000},
        "bytes": {"NAME": "caf\udce9"},
        "a line end": {"NAME": "a\n"},
        "a template that is none": {"CLEAN__DERIVE": '{"a": "{{"}'},
        "a template without an end": {"CLEAN__DERIVE": '{"a": "%s"}' % ("{{" * 5_000)},
    }.items():
        yield Case(f"variables/{kind}", lambda _: None, settings, "config")


def _read(name: str, path: str, content: bytes | str) -> Case:
    return Case(name, file(path, content), {"CONFIG": f"{{folder}}/{path}"}, "config")


def _loop(folder: Path) -> None:
    os.symlink("a.yaml", folder / "a.yaml")  # noqa: PTH211
