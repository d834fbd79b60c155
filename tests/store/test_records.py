"""Records are read as what they should be, and read again before they are condemned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from job.errors import Absent, Torn
from job.store.folder import FolderStore
from job.store.records import read_json, read_record


@dataclass(frozen=True)
class Part:
    name: str


@dataclass(frozen=True)
class Whole:
    number: int
    parts: tuple[Part, ...] = ()


class Once(FolderStore):
    """The first answer is a proxy's page."""

    asked = 0

    def read(self, key: str) -> tuple[bytes, str]:
        data, tag = super().read(key)
        self.asked += 1
        return (b"<html></html>" if self.asked == 1 else data), tag


def test_what_only_another_release_knows_is_left_out(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    value = {"number": 3, "parts": [{"name": "a", "new": 1}], "newer": {}}
    tag = store.put("a.json", json.dumps(value).encode())
    assert read_record(store, "a.json", Whole) == (Whole(3, (Part("a"),)), tag)
    assert read_json(store, "a.json") == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "number: Field required"),
        ({"number": None}, "number: Input should be a valid integer"),
        ({"number": [1]}, "number: "),
        ({"number": 1, "parts": {"name": "a"}}, "parts"),
        ({"number": 1, "parts": [{"names": "a"}]}, r"parts\.0\.name: Field required"),
        ([1], "it holds a list"),
        ("text", "it holds a str"),
    ],
)
def test_what_is_not_what_it_should_be_is_named(tmp_path: Path, value: Any, words: str) -> None:
    store = FolderStore(tmp_path)
    store.put("b/a.json", json.dumps(value).encode())
    with pytest.raises(Torn, match=rf"b/a\.json is not a record of this job \(.*{words}") as caught:
        read_record(store, "b/a.json", Whole)
    assert caught.value.exit_code == 75


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"nul", b'{"number": 1'])
def test_what_is_not_json_is_named(tmp_path: Path, data: bytes) -> None:
    store = FolderStore(tmp_path)
    store.put("a.json", data)
    for read in (
        lambda: read_json(store, "a.json"),
        lambda: read_record(store, "a.json", Whole),
    ):
        with pytest.raises(Torn, match=r"a\.json is not a record of this job"):
            read()
    with pytest.raises(Absent):
        read_json(store, "other.json")


def test_one_wrong_answer_condemns_no_record(tmp_path: Path) -> None:
    store = Once(tmp_path)
    store.put("a.json", b'{"number": 1}')
    assert read_record(store, "a.json", Whole)[0] == Whole(1)
    store.asked = 0
    assert read_json(store, "a.json") == {"number": 1}
