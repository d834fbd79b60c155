"""Text files as pieces of text and blocks of lines, decoded without ever failing on a byte."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from job.data.quarantine import BadRow
from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch.bounds import too_long
from job.stages.fetch.chunks import CHUNK_CHARS, CHUNK_ROWS, Chunk

MAX_BLANK = 4 << 20
"""A file with more white space in a row, in characters, is taken for one that was not written whole."""

NUL = "holds a NUL byte; if the file is utf-16, set FINETUNE_DATA__ENCODING"

_MARKS = (  # utf-32's little-endian mark begins with utf-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Each undecodable byte as a lone surrogate.

    Unlike `surrogateescape` for ASCII bytes too, which can be undecodable in utf-16.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    escaped = "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end])
    return escaped, error.end


codecs.register_error("job.escape", _escape)


def pieces(file: BinaryIO, name: str, data: Data) -> Iterator[str]:
    """The file's text, about CHUNK_CHARS at a time; a byte-order mark wins over the encoding set.

    Bytes that cannot be decoded become lone surrogates, which `Parts` puts into quarantine.

    Raises:
        DataError: there is nothing but white space for MAX_BLANK characters.
        SettingsError: Python does not know the encoding.
    """
    read = file.read(CHUNK_CHARS)
    encoding = next((marked for mark, marked in _MARKS if read.startswith(mark)), data.encoding)
    try:
        "".encode(encoding)  # refuses codecs such as hex, which do not encode text
        decoder = codecs.getincrementaldecoder(encoding)("job.escape")
    except LookupError:
        raise SettingsError(
            f"FINETUNE_DATA__ENCODING={data.encoding} is not an encoding that Python knows",
            hint="use utf-8, utf-16, latin-1, cp1252 or another name from Python's codecs",
        ) from None
    blank = 0
    while read:
        text = decoder.decode(read)
        yield text
        blank = blank + len(text) if text.isspace() else 0
        if blank > MAX_BLANK:
            raise DataError(
                f"{name}: more than {MAX_BLANK:,} characters of white space in a row",
                hint="it was not written to its end, or is not what its name says; upload it again",
            )
        read = file.read(CHUNK_CHARS)
    if rest := decoder.decode(b"", final=True):
        yield rest


def blocks(
    source: Iterable[str], name: str, data: Data, *, quoted: bool = False
) -> Iterator[list[str]]:
    r"""The lines of a text that comes in pieces, in lists of at most CHUNK_ROWS; they keep their ends.

    `\n` and `\r\n` end a line, as wc counts them. `\r` alone does in a file that has no `\n`, as
    the Mac's once were; elsewhere it is a character like any other.

    Args:
        source: the pieces.
        name: the file's URI without secrets.
        data: has the bound on a line.
        quoted: whether a `\n` within quotes says nothing about the file.

    Raises:
        DataError: a line is too long, or `\r` ends lines and then `\n` does.
    """
    rest, end, lines = "", None, 0
    for piece in chain(source, (None,)):
        text = rest + (piece or "")
        if end is None:
            end = _line_end(text, quoted, last=piece is None or len(text) > data.max_row_bytes)
        if end == _ANY and not quoted and "\n" in text:
            raise DataError(
                f"{name}: lines end with a carriage return, and after line {lines:,} with a line feed",
                hint="write the file anew with one kind of line end",
            )
        cut = len(text) if piece is None else _cut(text, end)
        rest = text[cut:]
        for block in _lines(text[:cut], end):
            lines += len(block)
            yield block
        if end is not None and len(rest) > data.max_row_bytes:
            raise too_long(name, lines + 1, len(rest), data.max_row_bytes)


_ANY = ""
"""As Python's io has it: `\n`, `\r\n` and `\r` all end lines."""
_QUOTES = re.compile(r'"[^"]*(?:"|\Z)')


def _line_end(text: str, quoted: bool, *, last: bool) -> str | None:
    """What ends lines, by the beginning of a file; None if more of it must be read."""
    if "\r" in text and quoted:
        text = _QUOTES.sub("", text)
    if "\n" in text:
        return "\n"
    return _ANY if last else None


def _cut(text: str, end: str | None) -> int:
    """Where the last whole line ends."""
    if end is None:
        return 0
    if end == "\n":
        return text.rfind("\n") + 1
    # a '\r' at the very end may be the first half of '\r\n'
    last = len(text) - text.endswith("\r")
    return max(text.rfind("\n", 0, last), text.rfind("\r", 0, last)) + 1


def _lines(text: str, end: str | None) -> Iterator[list[str]]:
    # not str.splitlines, which also splits at \x0b, \x1c, \u2028 and others that stand in real text
    lines = io.StringIO(text, newline=end).readlines()
    for start in range(0, len(lines), CHUNK_ROWS):
        yield lines[start : start + CHUNK_ROWS]


def read_text(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """One row a line, in the column `text`; empty lines are rows."""
    first = 1
    for block in blocks(pieces(file, name, data), name, data):
        rows = [(number, line.rstrip("\r\n")) for number, line in enumerate(block, first)]
        good = [row for row in rows if "\0" not in row[1]]
        yield Chunk(
            {"text": [line for _, line in good]},
            [n for n, _ in good],
            [BadRow(n, NUL, line) for n, line in rows if "\0" in line]
            if len(good) < len(rows)
            else (),
        )
        first += len(block)
