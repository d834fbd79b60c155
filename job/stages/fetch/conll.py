"""CoNLL files: a token and its tag on each line, a blank line between sentences; a row is a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

from job.data.quarantine import BadRow
from job.settings import Data
from job.stages.fetch.chunks import Chunk
from job.stages.fetch.text import NUL, blocks, pieces

DOCUMENT = "-DOCSTART-"
"""Marks, in place of a token, where a document begins; such lines are skipped."""


@dataclass
class _Sentence:
    line: int
    """Where it begins."""
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    fault: tuple[int, str] | None = None


class _Reader:
    """Collects lines to sentences; the first line of the file says how many columns there are."""

    def __init__(self) -> None:
        self._sentence: _Sentence | None = None
        self._width = 0
        self._good: list[_Sentence] = []
        self._bad: list[BadRow] = []

    def add(self, number: int, line: str) -> None:
        """One line, from 1; a blank one ends the sentence."""
        if not line.strip():
            self._end()
            return
        # a tab separates where there is one, so that a token may hold a space
        cells = line.split("\t") if "\t" in line else line.split()
        if cells[0] == DOCUMENT:
            return
        self._width = self._width or len(cells)
        sentence = self._sentence = self._sentence or _Sentence(number)
        sentence.lines.append(line)
        sentence.tokens.append(cells[0].strip())
        sentence.tags.append(cells[-1].strip())
        if fault := self._fault(line, cells):
            sentence.fault = sentence.fault or (number, fault)

    def _fault(self, line: str, cells: list[str]) -> str | None:
        if "\0" in line:
            return NUL
        if len(cells) < 2:
            return "a token without a tag"
        if len(cells) != self._width:
            return f"{len(cells)} columns in place of {self._width}"
        return None if cells[0].strip() and cells[-1].strip() else "an empty token or tag"

    def _end(self) -> None:
        sentence, self._sentence = self._sentence, None
        if sentence is None:
            return
        if sentence.fault:
            self._bad.append(BadRow(*sentence.fault, "\n".join(sentence.lines)))
        else:
            self._good.append(sentence)

    def chunk(self, *, last: bool = False) -> Chunk:
        """The sentences that have ended since the last call."""
        if last:
            self._end()
        good, bad, self._good, self._bad = self._good, self._bad, [], []
        columns = {
            "tokens": [json.dumps(s.tokens, ensure_ascii=False) for s in good],
            "tags": [json.dumps(s.tags, ensure_ascii=False) for s in good],
        }
        return Chunk(columns, [s.line for s in good], bad)


def read_conll(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """One row a sentence: `tokens` from the first column and `tags` from the last, as JSON lists.

    Columns are separated by tabs or by spaces. A sentence with a line of another number of columns
    is a bad row with that line's number.

    Raises:
        DataError: a line is endless.
        SettingsError: Python does not know the encoding.
    """
    reader = _Reader()
    lines = blocks(pieces(file, data.encoding), name)
    first = 1
    for block in chain(lines, (None,)):
        for number, line in enumerate(block or (), first):
            reader.add(number, line.rstrip("\r\n"))
        first += len(block or ())
        yield reader.chunk(last=block is None)
