"""Two text files as one: each line of the first beside the same line of the second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path

from job.data.quarantine import BadRow
from job.errors import DataError
from job.settings import Data
from job.stages.fetch.chunks import CHUNK_CHARS, CHUNK_ROWS, Chunk
from job.stages.fetch.formats import Member, members

Line = tuple[int, "str | BadRow"]


def parallel(
    source: Path, target: Path, names: tuple[str, str], data: Data, scratch: Path
) -> Iterator[Member]:
    """The rows of two text files, or of the files in two archives, which stay in step.

    A row has the columns of the roles source and target; its line is that of both files. An empty
    line is an empty text.

    Args:
        source: a file on this disk.
        target: the file with as many lines.
        names: their URIs, without secrets.
        data: its format is not looked at, since names such as train.en.gz say none.
        scratch: a folder for what must be unpacked.

    Raises:
        DataError: a file is damaged, or one has more lines, or an archive more files, than the other.
    """
    text = data.model_copy(update={"format": "text"})
    pairs = zip_longest(
        members(source, names[0], text, scratch), members(target, names[1], text, scratch)
    )
    for one, other in pairs:
        if one is None or other is None:
            raise DataError(
                f"the archives {names[0]} and {names[1]} hold different numbers of files",
                hint="each file of sources needs its file of targets, in the same order",
            )
        yield Member(one.name, one.size + other.size, _zipped(one, other, data))


def _zipped(source: Member, target: Member, data: Data) -> Iterator[Chunk]:
    ours, theirs = _lines(source.chunks), _lines(target.chunks)
    rows: list[tuple[int, str, str]] = []
    bad: list[BadRow] = []
    size = last = 0
    for one, other in zip_longest(ours, theirs):
        if one is None or other is None:
            longer = sum(1 for _ in (ours if other is None else theirs)) + last + 1
            counts = (longer, last) if other is None else (last, longer)
            raise _uneven(source, target, counts)
        last = one[0]
        if isinstance(one[1], str) and isinstance(other[1], str):
            rows.append((last, one[1], other[1]))
            size += len(one[1]) + len(other[1])
        else:
            bad += [side for side in (one[1], other[1]) if isinstance(side, BadRow)][:1]
        if len(rows) + len(bad) >= CHUNK_ROWS or size >= CHUNK_CHARS:
            yield _chunk(rows, bad, data)
            rows, bad, size = [], [], 0
    yield _chunk(rows, bad, data)


def _lines(chunks: Iterable[Chunk]) -> Iterator[Line]:
    """Every line of a text file with its number, the bad ones in their places."""
    for chunk in chunks:
        texts = chunk.columns.get("text", ())
        good: list[Line] = [(n, text or "") for n, text in zip(chunk.lines, texts, strict=True)]
        yield from sorted([*good, *((bad.line, bad) for bad in chunk.bad)], key=itemgetter(0))


def _chunk(rows: list[tuple[int, str, str]], bad: list[BadRow], data: Data) -> Chunk:
    columns = {
        data.columns.source: [source for _, source, _ in rows],
        data.columns.target: [target for _, _, target in rows],
    }
    return Chunk(columns, [line for line, _, _ in rows], bad)


def _uneven(source: Member, target: Member, counts: tuple[int, int]) -> DataError:
    return DataError(
        f"{source.name} has {counts[0]:,} lines and {target.name} {counts[1]:,}; each line of the one "
        "must be the same line of the other",
        hint="keep an empty line where a text is missing; do the same to both files before they are "
        "uploaded",
    )
