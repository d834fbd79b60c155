"""JSON lines, and JSON documents that hold a list of objects, read without loading them whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

from job.data.quarantine import BadRow
from job.errors import DataError
from job.settings import Data
from job.stages.fetch.chunks import (
    CHUNK_CHARS,
    CHUNK_ROWS,
    MAX_ROW_CHARS,
    Chunk,
    columns_of,
)
from job.stages.fetch.text import blocks, pieces


class _Repeated(dict[str, Any]):
    """An object in which a key appears twice; nobody knows which of the values was meant."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Repeated(value)


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def _fault(value: Any) -> str | None:
    if isinstance(value, _Repeated):
        return "a key appears twice in the object"
    if isinstance(value, dict) and "" in value:
        return "a key is empty"
    return None if isinstance(value, dict) else "not a JSON object"


def read_jsonl(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """One object a line; blank lines are skipped.

    Raises:
        DataError: a line is endless.
        SettingsError: Python does not know the encoding.
    """
    return _lines(blocks(pieces(file, data.encoding), name))


def _lines(source: Iterator[list[str]]) -> Iterator[Chunk]:
    first = 1
    for block in source:
        rows: list[dict[str, Any]] = []
        lines: list[int] = []
        bad: list[BadRow] = []
        for number, line in enumerate(block, first):
            text = line.strip()
            if not text:
                continue
            try:
                value = _DECODER.decode(text)
                fault = _fault(value)
            except (ValueError, RecursionError) as error:
                fault = f"not JSON: {error}"
            if fault:
                bad.append(BadRow(number, fault, text))
            else:
                rows.append(value)
                lines.append(number)
        yield Chunk(columns_of(rows), lines, bad)
        first += len(block)


def read_json(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """A list of objects, or an object one of whose members is such a list; a row's line is its
    number in the list. A file that really holds JSON lines is read as such.

    Raises:
        DataError: the file is not JSON, or does not hold exactly one list of objects.
        SettingsError: Python does not know the encoding.
    """
    source = pieces(file, data.encoding)
    start = next(source, "")
    whole = chain((start,), source)
    return (
        _lines(blocks(whole, name)) if _is_lines(start) else _chunks(_rows(_Scanner(whole, name)))
    )


def objects(file: BinaryIO, name: str, data: Data) -> Iterator[Any]:
    """The elements of a document's one list of objects, each as it stands.

    Raises:
        DataError, SettingsError: as `read_json`.
    """
    for value, _ in _rows(_Scanner(pieces(file, data.encoding), name)):
        yield value


def _is_lines(start: str) -> bool:
    first, _, rest = start.strip().partition("\n")
    try:
        return bool(rest.strip()) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _chunks(values: Iterator[tuple[Any, int]]) -> Iterator[Chunk]:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    bad: list[BadRow] = []
    chars = 0
    for number, (value, size) in enumerate(values, 1):
        if fault := _fault(value):
            bad.append(BadRow(number, fault, json.dumps(value, ensure_ascii=False)))
        else:
            rows.append(value)
            lines.append(number)
        chars += size
        if len(rows) + len(bad) >= CHUNK_ROWS or chars >= CHUNK_CHARS:
            yield Chunk(columns_of(rows), lines, bad)
            rows, lines, bad, chars = [], [], [], 0
    yield Chunk(columns_of(rows), lines, bad)


class _Scanner:
    """Takes one JSON value after the other from text that comes in pieces.

    ijson 3.6 (yajl) builds rows 1.4 times as fast, but lets a key appear twice: checked for that in
    its events, it is 0.7 times as fast. It also refuses NaN, which pandas writes.
    """

    def __init__(self, source: Iterator[str], name: str) -> None:
        self._source, self.name = source, name
        self._text, self._at = "", 0

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n":
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Step over one of the expected characters."""
        char = self.peek()
        if not char or char not in expected:
            raise self.error(
                f"{char!r} where one of {expected!r} is expected" if char else "cut short"
            )
        self._at += 1
        return char

    def value(self) -> tuple[Any, int]:
        """The next value, and how many characters it took."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._more(double=True):
                    raise self.error(str(error)) from None
                continue
            if end == len(self._text) and self._more():
                continue  # a number may go on in the next piece
            size, self._at = end - self._at, end
            return value, size

    def error(self, reason: str) -> DataError:
        """What is wrong with the document."""
        return DataError(
            f"{self.name}: not JSON that can be read as rows: {reason}",
            hint="a json file holds a list of objects; for one object a line set "
            "FINETUNE_DATA__FORMAT=jsonl",
        )

    def _more(self, *, double: bool = False) -> bool:
        """Read on; `double` the unread text, so that a long value is not tried at every piece."""
        unread = [self._text[self._at :]]
        size = before = len(unread[0])
        if size > MAX_ROW_CHARS:
            raise self.error(f"a value is longer than {MAX_ROW_CHARS:,} characters")
        for piece in self._source:
            unread.append(piece)
            size += len(piece)
            if not double or size >= 2 * before:
                break
        self._text, self._at = "".join(unread), 0
        return len(unread) > 1


def _rows(scanner: _Scanner) -> Iterator[tuple[Any, int]]:
    """The elements of the document's list of objects."""
    if scanner.peek() == "":
        return
    if scanner.peek() == "[":
        yield from _elements(scanner)
    else:
        scanner.take("{")
        yield from _members(scanner)
    if extra := scanner.peek():
        raise scanner.error(f"{extra!r} after the end")


def _members(scanner: _Scanner) -> Iterator[tuple[Any, int]]:
    """The elements of the one member that is a list of objects; other members are skipped."""
    lists: list[str] = []
    empty = False
    while scanner.peek() != "}":
        key, _ = scanner.value()
        scanner.take(":")
        if scanner.peek() == "[":
            number = -1
            for number, element in enumerate(_elements(scanner)):
                if number == 0 and isinstance(element[0], dict):
                    lists.append(str(key))
                if lists[-1:] == [str(key)]:
                    yield element
            empty = empty or number < 0
        else:
            scanner.value()
        if len(lists) > 1:
            raise scanner.error(f"{lists[0]!r} and {lists[1]!r} are both lists of objects")
        if scanner.peek() != "}":
            scanner.take(",")
    scanner.take("}")
    if not lists and not empty:
        raise scanner.error("an object without a list of objects in it")


def _elements(scanner: _Scanner) -> Iterator[tuple[Any, int]]:
    scanner.take("[")
    while scanner.peek() != "]":
        yield scanner.value()
        if scanner.peek() != "]":
            scanner.take(",")
    scanner.take("]")
