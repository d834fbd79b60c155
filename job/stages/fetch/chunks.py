"""Rows as readers hand them on: chunks of nullable strings, and of rows that are bad."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from job.data.artifacts import FILE, LINE
from job.data.quarantine import BadRow
from job.errors import DataError
from job.text import is_deep

CHUNK_ROWS = 5_000
"""Rows that are in memory at once, unless they are so long that CHUNK_CHARS comes first."""
CHUNK_CHARS = 1 << 20
CHUNK_CELLS = 1 << 20
"""Values that are in memory at once, where every row has other columns."""

NOT_TEXT = "holds bytes that are not {encoding} text; set FINETUNE_DATA__ENCODING, such as cp1252"
HALF = (
    "holds half a character, such as \\ud83d without the escape that completes it; whoever wrote "
    "the text cut it within an emoji"
)
TOO_DEEP = "nested too deeply"

Strings: TypeAlias = Sequence[str | None] | pa.Array


@dataclass(frozen=True)
class Chunk:
    """Some rows of one file: equally long columns of nullable strings, and each row's line."""

    columns: Mapping[str, Strings] = field(default_factory=dict)
    lines: Sequence[int] = ()
    bad: Sequence[BadRow] = ()


class Rows:
    """Objects that are collected to a chunk; their names become its columns, in order of appearance."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._rows: list[Mapping[str, Any]] = []
        self._lines: list[int] = []
        self._bad: list[BadRow] = []
        self._names: dict[str, None] = {}
        self._chars = 0

    @property
    def full(self) -> bool:
        """Whether it is time for `chunk`."""
        return (
            len(self._rows) + len(self._bad) >= CHUNK_ROWS
            or self._chars >= CHUNK_CHARS
            or len(self._rows) * len(self._names) >= CHUNK_CELLS
        )

    def add(self, line: int, row: Mapping[str, Any], chars: int) -> None:
        """A row that takes about so many characters."""
        self._rows.append(row)
        self._lines.append(line)
        for name in row:
            if name not in self._names:
                self._names[name] = None
        self._chars += chars

    def refuse(self, line: int, reason: str, text: str) -> None:
        """A row that cannot be used."""
        self._bad.append(BadRow(line, reason, text))
        self._chars += len(text)

    def chunk(self) -> Chunk:
        """What was added since the last call; a value that is missing is null."""
        try:
            columns = {name: [as_text(row.get(name)) for row in self._rows] for name in self._names}
        except (RecursionError, ValueError):
            self._sort_out()
            return self.chunk()
        chunk = Chunk(columns, self._lines, self._bad)
        self._clear()
        return chunk

    def _sort_out(self) -> None:
        """Refuse the rows that cannot be written as text."""
        rows = list(zip(self._lines, self._rows, strict=True))
        self._rows, self._lines = [], []
        for line, row in rows:
            if is_deep(row):
                self.refuse(line, TOO_DEEP, ", ".join(row))
                continue
            try:
                for value in row.values():
                    as_text(value)
            except ValueError as error:
                self.refuse(line, str(error), ", ".join(row))
            else:
                self.add(line, row, 0)


def as_text(value: Any) -> str | None:
    """A value as a string column holds it: text as it is, anything else as JSON, NaN as null.

    Raises:
        RecursionError, ValueError: it is nested too deeply, holds itself, or is a number of
            thousands of digits.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, (bool, int, float, list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    plain = _plain(value)
    return plain if isinstance(plain, str) else as_text(plain)


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as Python's; whatever else there is as its text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def check_names(names: Sequence[str], file: str) -> None:
    """Refuse column names that are empty, appear twice, or are the job's own.

    Raises:
        DataError: naming the column and the file.
    """
    seen: set[str] = set()
    for position, name in enumerate(names, 1):
        if not name:
            raise DataError(
                f"{file}: column {position} has no name in the header",
                hint="name it (pandas writes such a column for its index: use index=False), or set "
                "FINETUNE_DATA__COLUMN_NAMES if the file has no header",
            )
        if name in seen:
            raise DataError(
                f"{file}: the column {name!r} appears twice in the header",
                hint="rename one, or set FINETUNE_DATA__COLUMN_NAMES if the file has no header",
            )
        if name in (FILE, LINE):
            raise DataError(f"{file}: the column name {name} is taken by the job", hint="rename it")
        seen.add(name)
