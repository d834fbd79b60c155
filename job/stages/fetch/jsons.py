"""JSON lines, and JSON documents that hold rows, read without loading them whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

from job.settings import Data
from job.stages.fetch.chunks import HALF, TOO_DEEP, Chunk, Rows
from job.stages.fetch.json_values import DECODER, Repeated, TooDeep, Value, end_of, has_half
from job.stages.fetch.scanner import Scanner
from job.stages.fetch.text import blocks, pieces
from job.text import is_all_text, is_deep

REPEATED = "a key appears twice in the object"


def _fault(value: Any, *, half: bool = False) -> str | None:
    if isinstance(value, TooDeep) or is_deep(value):
        return TOO_DEEP
    if isinstance(value, Repeated):
        return REPEATED
    if isinstance(value, dict) and "" in value:
        return "a key is empty"
    if not isinstance(value, dict):
        return "not a JSON object"
    return HALF if half else None


def read_jsonl(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """One object a line; blank lines are skipped. A file that really holds a document is read as such.

    Raises:
        DataError: a line is endless.
        SettingsError: Python does not know the encoding.
    """
    start, whole = _begun(pieces(file, name, data))
    # the first line of a document that was written to be looked at
    if start.lstrip().partition("\n")[0].rstrip() in ("{", "["):
        return _chunks(_rows(Scanner(whole, name, data), data))
    return _lines(blocks(whole, name, data))


def read_json(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """The rows of a document; a row's line is its number. They are

    - the elements of a list,
    - the elements of that member of an object which is a list of objects,
    - an object without such a member, or which has more of the columns in use than the elements, or
    - several objects, one after the other.

    A file that really holds JSON lines is read as such.

    Raises:
        DataError: the file is not JSON, or it is not clear which of its lists has the rows.
        SettingsError: Python does not know the encoding.
    """
    start, whole = _begun(pieces(file, name, data))
    if _is_lines(start):
        return _lines(blocks(whole, name, data))
    return _chunks(_rows(Scanner(whole, name, data), data))


def objects(file: BinaryIO, name: str, data: Data) -> Iterator[Any]:
    """The elements of a document's one list of objects, each as it stands.

    Raises:
        DataError, SettingsError: as `read_json`.
    """
    for value in _rows(Scanner(pieces(file, name, data), name, data), data):
        yield value.value


def _begun(source: Iterator[str]) -> tuple[str, Iterator[str]]:
    """The first piece, and all of them."""
    start = next(source, "")
    return start, chain((start,), source)


def _is_lines(start: str) -> bool:
    first, _, rest = start.strip().partition("\n")
    return first.startswith("{") and bool(rest.strip()) and _is_whole(first.rstrip())


def _is_whole(text: str) -> bool:
    """Whether a text is one object, be it nested too deeply."""
    try:
        return isinstance(DECODER.decode(text), dict)
    except RecursionError:
        return end_of(text, 0) == len(text)
    except ValueError:
        return False


def _lines(source: Iterable[list[str]]) -> Iterator[Chunk]:
    rows = Rows()
    for number, line in enumerate(chain.from_iterable(source), 1):
        text = line.strip()
        if not text:
            continue
        value, fault = _decoded(text)
        if fault:
            rows.refuse(number, fault, text)
        else:
            rows.add(number, value, len(text))
        if rows.full:
            yield rows.chunk()
    yield rows.chunk()


def _decoded(text: str) -> tuple[Any, str | None]:
    """A line's value, and what is wrong with it."""
    try:
        value = DECODER.decode(text)
    except RecursionError:
        return None, TOO_DEEP
    except ValueError as error:
        return None, f"not JSON: {error}"
    return value, _fault(value, half=has_half(value, text, 0, len(text)))


def _chunks(values: Iterator[Value]) -> Iterator[Chunk]:
    rows = Rows()
    for number, value in enumerate(values, 1):
        if fault := _fault(value.value, half=value.half):
            rows.refuse(number, fault, value.text)
        else:
            rows.add(number, value.value, value.size)
        if rows.full:
            yield rows.chunk()
    yield rows.chunk()


def _rows(scanner: Scanner, data: Data) -> Iterator[Value]:
    """The rows of a document."""
    if scanner.peek() == "[":
        yield from scanner.elements()
    elif scanner.peek() == "{":
        if (first := scanner.whole()) is None:
            yield from _members(scanner)
        else:
            yield from _of_object(first, scanner, data)
    elif scanner.peek():
        scanner.take("[{")
    if extra := scanner.peek():
        raise scanner.error(f"{extra!r} after the end")


def _of_object(first: Value, scanner: Scanner, data: Data) -> Iterator[Value]:
    """The rows of a document that begins with an object that is not too large for one row."""
    lists = _lists(first.value)
    if scanner.peek() == "{" or _is_row(first.value, lists, data):
        yield first
        while scanner.peek() == "{":
            yield scanner.value()
        return
    if len(lists) > 1:
        one, other, *_ = lists
        raise scanner.error(f"{one!r} and {other!r} are both lists of objects")
    if lists and isinstance(first.value, Repeated):
        raise scanner.error(REPEATED)
    for values in lists.values():
        size = first.size // len(values)
        yield from (Value(v, size, first.half and not is_all_text(v)) for v in values)


def _lists(value: dict[str, Any]) -> dict[str, list[Any]]:
    """The members of an object that are lists of objects."""
    return {k: v for k, v in value.items() if isinstance(v, list) and v and isinstance(v[0], dict)}


def _is_row(value: dict[str, Any], lists: dict[str, list[Any]], data: Data) -> bool:
    """Whether an object is a row itself, and its lists are a part of it."""
    columns = {name for name in data.columns.model_dump().values() if name}
    own = len(columns & value.keys())
    if not lists:
        return own > 0 or [] not in value.values()
    return own > max(len(columns & values[0].keys()) for values in lists.values())


def _members(scanner: Scanner) -> Iterator[Value]:
    """The elements of the one member that is a list of objects; other members are skipped."""
    lists: list[str] = []
    empty = False
    scanner.take("{")
    while scanner.peek() != "}":
        key = str(scanner.value().value)
        scanner.take(":")
        if scanner.peek() == "[":
            number = -1
            for number, element in enumerate(scanner.elements()):
                if number == 0 and isinstance(element.value, dict | TooDeep):
                    lists.append(key)
                if lists[-1:] == [key]:
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
        raise scanner.error("an object without a list of objects in it, too large for one row")
