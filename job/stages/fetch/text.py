"""Text files as pieces of text and blocks of lines, decoded without ever failing on a byte."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from job.data.quarantine import BadRow
from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch.chunks import CHUNK_CHARS, CHUNK_ROWS, MAX_ROW_CHARS, Chunk

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


def pieces(file: BinaryIO, encoding: str) -> Iterator[str]:
    """The file's text, about CHUNK_CHARS at a time; a byte-order mark wins over `encoding`.

    Bytes that cannot be decoded become lone surrogates, which `Parts` puts into quarantine.

    Raises:
        SettingsError: Python does not know the encoding.
    """
    data = file.read(CHUNK_CHARS)
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), encoding)
    try:
        "".encode(marked)  # refuses codecs such as hex, which do not encode text
        decoder = codecs.getincrementaldecoder(marked)("job.escape")
    except LookupError:
        raise SettingsError(
            f"FINETUNE_DATA__ENCODING={encoding} is not an encoding that Python knows",
            hint="use utf-8, utf-16, latin-1, cp1252 or another name from Python's codecs",
        ) from None
    while data:
        yield decoder.decode(data)
        data = file.read(CHUNK_CHARS)
    if rest := decoder.decode(b"", final=True):
        yield rest


def blocks(source: Iterable[str], name: str) -> Iterator[list[str]]:
    r"""The lines of a text that comes in pieces, in lists of at most CHUNK_ROWS.

    They keep their ends: `\n`, `\r\n` or `\r`.

    Raises:
        DataError: a line is longer than MAX_ROW_CHARS.
    """
    rest = ""
    for piece in source:
        text = rest + piece
        # a '\r' at the very end may be the first half of '\r\n'
        end = len(text) - text.endswith("\r")
        cut = max(text.rfind("\n", 0, end), text.rfind("\r", 0, end)) + 1
        rest = text[cut:]
        if len(rest) > MAX_ROW_CHARS:
            raise DataError(
                f"{name}: a line is longer than {MAX_ROW_CHARS:,} characters",
                hint="set FINETUNE_DATA__FORMAT if the file is not what its name says",
            )
        yield from _lines(text[:cut])
    yield from _lines(rest)


def _lines(text: str) -> Iterator[list[str]]:
    # not str.splitlines, which also splits at \x0b, \x1c, \u2028 and others that stand in real text
    lines = io.StringIO(text, newline="").readlines()
    for start in range(0, len(lines), CHUNK_ROWS):
        yield lines[start : start + CHUNK_ROWS]


def read_text(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """One row a line, in the column `text`; empty lines are rows."""
    first = 1
    for block in blocks(pieces(file, data.encoding), name):
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
