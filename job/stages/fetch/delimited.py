"""csv and tsv, with strict line numbers: a row's line is the one it starts on."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from job.data.quarantine import BadRow
from job.errors import DataError
from job.settings import Data
from job.stages.fetch.chunks import MAX_ROW_CHARS, NOT_TEXT, Chunk, check_names
from job.stages.fetch.text import NUL, blocks, pieces

MAX_ROW_LINES = 10_000
"""A quoted field that spans more lines is taken for a quote that is never closed."""

UNCLOSED = (
    "a quote that is opened here is never closed; if quotes are plain text in this file, set "
    "FINETUNE_DATA__QUOTING=false"
)

_END = "\0"
"""Fed to the parser after the last line: it comes out alone unless a quote is still open."""


@dataclass(frozen=True)
class _Parsed:
    """Rows of some lines, each with the number of the lines up to its end."""

    lines: list[str]
    first: int
    rows: list[list[str]]
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
        DataError: a column of the header has no name or appears twice, or a line is endless.
        SettingsError: Python does not know the encoding.
    """
    return _read(file, name, data, data.delimiter or ",", data.quoting is not False)


def read_tsv(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """Rows of a tsv file: a tab between columns and `"` plain text unless the settings differ.

    Raises:
        DataError, SettingsError: as `read_csv`.
    """
    return _read(file, name, data, data.delimiter or "\t", data.quoting is True)


def _read(file: BinaryIO, name: str, data: Data, delimiter: str, quoting: bool) -> Iterator[Chunk]:
    csv.field_size_limit(sys.maxsize)  # rows are bounded by MAX_ROW_CHARS instead
    names = list(data.column_names)
    lines = blocks(pieces(file, data.encoding), name)
    for parsed in _parse(lines, delimiter, quoting):
        if isinstance(parsed, BadRow):
            yield Chunk(bad=[parsed])
            continue
        if not names:
            header = next((i for i, row in enumerate(parsed.rows) if row), None)
            if header is None:
                continue
            names = _header(parsed.rows[header], name, data)
            parsed.rows[: header + 1] = [[]] * (header + 1)  # blank now, and blank rows are skipped
        yield _chunk(parsed, names)


def _header(row: list[str], name: str, data: Data) -> list[str]:
    if any("\ud800" <= char <= "\udfff" or char == "\0" for cell in row for char in cell):
        raise DataError(f"{name}: the header {NOT_TEXT.format(encoding=data.encoding)}", hint="")
    names = [cell.strip() for cell in row]
    check_names(names, name)
    return names


def _parse(
    source: Iterator[list[str]], delimiter: str, quoting: bool
) -> Iterator[_Parsed | BadRow]:
    """Parse blocks of lines; a row that is not complete waits for the next block.

    A quote that is never closed would swallow the rest of the file: its line is bad and parsing
    starts again after it.
    """
    carry: list[str] = []
    first = 1
    for block in chain(source, (None,)):
        lines = carry + (block or [])
        while lines:
            rows, ends, closed = _rows(lines, delimiter, quoting)
            complete = ends[-1] if ends else 0
            if rows:
                yield _Parsed(lines[:complete], first, rows, ends)
            first += complete
            lines = lines[complete:]
            if closed or not (block is None or _endless(lines)):
                break
            yield BadRow(first, UNCLOSED, lines[0].rstrip("\r\n"))
            first += 1
            lines = lines[1:]
        carry = lines


def _endless(lines: list[str]) -> bool:
    return len(lines) > MAX_ROW_LINES or sum(map(len, lines)) > MAX_ROW_CHARS


def _rows(
    lines: list[str], delimiter: str, quoting: bool
) -> tuple[list[list[str]], list[int], bool]:
    """The complete rows, the lines up to the end of each, and whether all were complete."""
    reader = csv.reader(
        chain(lines, (_END,)),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
    )
    rows, ends = [], []
    for row in reader:
        rows.append(row)
        ends.append(reader.line_num)
    last = rows.pop()
    ends.pop()
    return rows, ends, last == [_END] and (ends[-1] if ends else 0) == len(lines)


def _chunk(parsed: _Parsed, names: list[str]) -> Chunk:
    width = len(names)
    dirty = any("\0" in line for line in parsed.lines)
    if not dirty and set(map(len, parsed.rows)) == {width}:
        columns = zip(names, zip(*parsed.rows, strict=True), strict=True)
        return Chunk(dict(columns), parsed.starts)
    kept: list[list[str]] = []
    lines: list[int] = []
    bad: list[BadRow] = []
    for i, (row, start) in enumerate(zip(parsed.rows, parsed.starts, strict=True)):
        if not row:
            continue
        if len(row) != width:
            bad.append(BadRow(start, f"{len(row)} columns in place of {width}", parsed.text(i)))
        elif any("\0" in cell for cell in row):
            bad.append(BadRow(start, NUL, parsed.text(i)))
        else:
            kept.append(row)
            lines.append(start)
    return Chunk({name: [row[i] for row in kept] for i, name in enumerate(names)}, lines, bad)
