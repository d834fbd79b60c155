"""JSON objects in a store, which other releases, and people, may have written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from job.errors import Torn
from job.store.base import Reader, Store
from job.text import one_line

T = TypeVar("T")

BEGINNING = 16
"""So many bytes are not the same by chance."""


def parsed(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object that some bytes hold.

    Args:
        where: its URI, for the error.

    Raises:
        Torn: they hold none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged(where, error) from None
    if not isinstance(value, dict):
        raise damaged(where, TypeError(f"it holds a {type(value).__name__}"))
    return value


def record_of(cls: type[T], value: Mapping[str, Any], where: str) -> T:
    """The dataclass that a JSON object stands for; fields that only another release knows are left out.

    Args:
        where: its URI, for the error.

    Raises:
        Torn: a field is missing, or is not what it should be.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(cls).validate_python(dict(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise damaged(where, ValueError(f"{name}: {first['msg']}")) from None


def read_json(store: Reader, key: str) -> dict[str, Any]:
    """The JSON object at `key`.

    Raises:
        Absent: there is none.
        Torn: something else is there, also when it is read again.
    """
    where = f"{store.uri}/{key}"
    return twice(lambda: parsed(store.get(key), where))


def read_record(store: Store, key: str, cls: type[T]) -> tuple[T, str]:
    """The dataclass that the object at `key` stands for, and its tag for a later `put`.

    Raises:
        Absent: there is none.
        Torn: something else is there, also when it is read again.
    """
    where = f"{store.uri}/{key}"

    def read() -> tuple[T, str]:
        data, tag = store.read(key)
        return record_of(cls, parsed(data, where), where), tag

    return twice(read)


def write_on(store: Store, key: str, data: bytes, damaged: Torn) -> None:
    """Replace a damaged object that is the beginning of `data`: the store cut an earlier write of it
    short, and whoever wrote it was killed before it noticed.

    Raises:
        Torn: `damaged`, where it is anything else.
    """
    current, tag = store.read(key)
    if len(current) < BEGINNING or not data.startswith(current):
        raise damaged
    store.put(key, data, if_tag=tag)


def twice(read: Callable[[], T]) -> T:
    """What `read` gives, asked once more before it condemns what it reads.

    Raises:
        Torn: both times.
    """
    try:
        return read()
    except Torn:
        return read()


def damaged(where: str, error: Exception) -> Torn:
    """What to say of a record that cannot be understood."""
    return Torn(
        f"{where} is not a record of this job ({one_line(error)})",
        hint="it was damaged or written by hand; restore an older version of it, or remove it: what it "
        "says is found out again where that is possible",
    )
