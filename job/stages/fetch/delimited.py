"""csv and tsv, with strict line numbers: a row's line is the one it starts on."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from job.data.quarantine import BadRow
from job.errors import DataError
from job.settings import Data
from job.stages.fetch.chunks import NOT_TEXT, Chunk, check_names
from job.stages.fetch.text import NUL, blocks, pieces

MAX_ROW_LINES = 10_000
"""A quoted field that spans more lines is taken for a quote that is never closed."""
REREAD = 16
"""How many times a file's characters may be read again because of such quotes."""
REREAD_FLOOR = 16 << 20

UNCLOSED = (
    "a quote that is opened here is never closed; if quotes are plain text in this file, set "
    "FINETUNE_DATA__QUOTING=false"
)
UNQUOTED = (
    "text after the quote that closes a field; quotes within a field are doubled, or, as Spark and "
    "MySQL write them, escaped, which FINETUNE_DATA__ESCAPE=\\ reads"
)
RAGGED_ESCAPES = "; if backslashes escape quotes in this file, set FINETUNE_DATA__ESCAPE=\\"

_END = "\0"
"""Fed to the parser after the last line: it comes out alone unless a quote is still open."""
_RETURN = "\ud80d"
"""Stands for a carriage return that does not end a line, which the parser would refuse; no decoder
makes such a character."""
_LONE_RETURN = re.compile(r"\r(?!\n|\Z)")
_SEPARATOR = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
_NULL = re.compile(r"(?<![^\n,;\t|])\\N(?![^\r\n,;\t|])")
"""How MySQL writes a null."""


Row = list[str] | None
"""A row's cells; None if it cannot be parsed."""
_WHOLE, _OPEN, _NEVER_CLOSED = "whole", "open", "never closed"


@dataclass(frozen=True)
class Dialect:
    """How rows are written."""

    delimiter: str
    quoting: bool
    escape: str | None

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """A parser of Python's; what it does not understand is an error."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoting else csv.QUOTE_NONE,
            escapechar=self.escape,
            strict=True,
        )

    def without_spaces(self, line: str) -> Row:
        """A line that has spaces between a closing quote and what follows it; None if it is wrong
        without them too."""
        try:
            return next(self.reader([re.sub(rf'" +(?={self._end})', '"', line)]))
        except csv.Error:
            return None

    def has_quoted_field(self, line: str) -> bool:
        """Whether a field of a line is in quotes, if the line begins with a row."""
        pattern = rf'(?:^|{re.escape(self.delimiter)})"[^"]*(?:""[^"]*)*"(?={self._end})'
        return re.search(pattern, line) is not None

    @property
    def _end(self) -> str:
        return rf"{re.escape(self.delimiter)}|\r?\n?\Z"


@dataclass(frozen=True)
class _Parsed:
    """Rows of some lines, each with the number of the lines up to its end."""

    lines: list[str]
    first: int
    rows: list[Row]
    ends: list[int]

    @property
    def starts(self) -> list[int]:
        return [self.first, *(self.first + end for end in self.ends[:-1])]

    def text(self, index: int) -> str:
        start = self.ends[index - 1] if index else 0
        return "".join(self.lines[start : self.ends[index]]).rstrip("\r\n")


def read_csv(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """Rows of a csv file: a comma between columns and `"` around fields unless the settings differ.

    Raises:
        DataError: a column of the header has no name or appears twice, or a line is endless, or many
            quotes are never closed.
        SettingsError: Python does not know the encoding.
    """
    dialect = Dialect(data.delimiter or ",", data.quoting is not False, data.escape)
    return _read(file, name, data, dialect)


def read_tsv(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """Rows of a tsv file: a tab between columns and `"` plain text unless the settings differ.

    Raises:
        DataError, SettingsError: as `read_csv`.
    """
    return _read(
        file, name, data, Dialect(data.delimiter or "\t", data.quoting is True, data.escape)
    )


def _read(file: BinaryIO, name: str, data: Data, dialect: Dialect) -> Iterator[Chunk]:
    csv.field_size_limit(sys.maxsize)  # rows are bounded by MAX_ROW_BYTES instead
    names = list(data.column_names)
    lines = blocks(pieces(file, name, data), name, data, quoted=dialect.quoting)
    first = next(lines, [])
    separator = _SEPARATOR.fullmatch(first[0]) if first else None
    if separator:  # Excel's word for the delimiter, which no row is
        first[0] = "\n"
        dialect = Dialect(data.delimiter or separator[1], dialect.quoting, dialect.escape)
    for parsed in _parse(chain((first,), lines), dialect, name, data):
        if isinstance(parsed, BadRow):
            yield Chunk(bad=[parsed])
            continue
        if not names:
            header = next((i for i, row in enumerate(parsed.rows) if row or row is None), None)
            if header is None:
                continue
            names = _header(parsed.rows[header], name, data, dialect)
            parsed.rows[: header + 1] = [[]] * (header + 1)  # blank now, and blank rows are skipped
        yield _chunk(parsed, names, dialect)


def _header(row: Row, name: str, data: Data, dialect: Dialect) -> list[str]:
    if row is None:
        raise DataError(f"{name}: the header has {UNQUOTED}", hint="")
    if any("\ud800" <= char <= "\udfff" or char == "\0" for cell in row for char in cell):
        raise DataError(f"{name}: the header {NOT_TEXT.format(encoding=data.encoding)}", hint="")
    names = [cell.strip() for cell in row]
    other = next((char for char in ";\t|," if char in names[0] and char != dialect.delimiter), None)
    if len(names) == 1 and other and not data.delimiter:
        raise DataError(
            f"{name}: the header has one column, {names[0][:80]!r}",
            hint=f"if {other!r} separates columns, set FINETUNE_DATA__DELIMITER={other!r}; if it does "
            f"not, FINETUNE_DATA__DELIMITER={dialect.delimiter!r}",
        )
    check_names(names, name)
    return names


def _parse(
    source: Iterator[list[str]], dialect: Dialect, name: str, data: Data
) -> Iterator[_Parsed | BadRow]:
    """Parse blocks of lines; a row that is not complete waits for the next block.

    A quote that is never closed would swallow the rest of the file: its line is bad and parsing
    starts again after it.
    """
    carry: list[str] = []
    first = 1
    read = reread = 0
    for block in chain(source, (None,)):
        read += sum(map(len, block or ()))
        lines = carry + (block or [])
        while lines:
            rows, ends, state = _rows(lines, dialect)
            complete = ends[-1] if ends else 0
            if rows:
                yield _Parsed(lines[:complete], first, rows, ends)
            first += complete
            lines = lines[complete:]
            if state == _WHOLE:
                break
            if state == _OPEN and block is not None and not _endless(lines, data):
                break
            yield BadRow(first, UNCLOSED, lines[0].rstrip("\r\n"))
            first += 1
            lines = lines[1:]
            reread += sum(map(len, lines))
            if reread > REREAD_FLOOR + REREAD * read:
                raise DataError(f"{name}:{first - 1}: as in many lines before, {UNCLOSED}", hint="")
        carry = lines


def _endless(lines: list[str], data: Data) -> bool:
    return len(lines) > MAX_ROW_LINES or sum(map(len, lines)) > data.max_row_bytes


def _rows(lines: list[str], dialect: Dialect) -> tuple[list[Row], list[int], str]:
    """The complete rows, the lines up to the end of each, and in what state the lines end."""
    if dialect.escape == "\\" and any("\\N" in line for line in lines):
        lines = [_NULL.sub("", line) for line in lines]
    try:
        return _parsed(lines, dialect)
    except _ReturnError:
        rows, ends, state = _parsed([_LONE_RETURN.sub(_RETURN, line) for line in lines], dialect)
        whole = [row and [cell.replace(_RETURN, "\r") for cell in row] for row in rows]
        return whole, ends, state


class _ReturnError(Exception):
    """There is a carriage return within a line."""


def _parsed(lines: list[str], dialect: Dialect) -> tuple[list[Row], list[int], str]:
    reader: Any = dialect.reader(chain(lines, (_END,)))
    rows: list[Row] = []
    ends: list[int] = []
    while True:
        try:
            for row in reader:
                rows.append(row)
                ends.append(reader.line_num)
            break
        except csv.Error:
            start, end = (ends[-1] if ends else 0), reader.line_num
            if end > len(lines):  # the last one, within quotes
                return rows, ends, _OPEN
            line = lines[end - 1]
            if _LONE_RETURN.search(line):
                raise _ReturnError from None
            if end - start > 1 and dialect.has_quoted_field(line):
                return rows, ends, _NEVER_CLOSED
            rows.append(dialect.without_spaces(line) if end - start == 1 else None)
            ends.append(end)
    last = rows.pop()
    ends.pop()
    whole = last == [_END] and (ends[-1] if ends else 0) == len(lines)
    return rows, ends, _WHOLE if whole else _OPEN


def _chunk(parsed: _Parsed, names: list[str], dialect: Dialect) -> Chunk:
    width = len(names)
    dirty = any("\0" in line for line in parsed.lines)
    if not dirty and {len(row) if row is not None else -1 for row in parsed.rows} == {width}:
        columns = zip(names, zip(*parsed.rows, strict=True), strict=True)
        return Chunk(dict(columns), parsed.starts)
    kept: list[list[str]] = []
    lines: list[int] = []
    bad: list[BadRow] = []
    for i, (row, start) in enumerate(zip(parsed.rows, parsed.starts, strict=True)):
        if row == []:
            continue
        if fault := _fault(row, width):
            text = parsed.text(i)
            doubtful = row is not None and not dialect.escape and '\\"' in text
            bad.append(BadRow(start, fault + (RAGGED_ESCAPES if doubtful else ""), text))
        elif row is not None:
            kept.append(row)
            lines.append(start)
    return Chunk({name: [row[i] for row in kept] for i, name in enumerate(names)}, lines, bad)


def _fault(row: Row, width: int) -> str | None:
    if row is None:
        return UNQUOTED
    if len(row) != width:
        return f"{len(row)} columns where {width} are expected"
    return NUL if any("\0" in cell for cell in row) else None
