"""CoNLL files: a token and its tag on each line, a blank line between sentences; a row is a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

from job.data.quarantine import BadRow
from job.errors import DataError, SettingsError
from job.settings import Data
from job.stages.fetch.bounds import too_long
from job.stages.fetch.chunks import CHUNK_ROWS, Chunk
from job.stages.fetch.text import NUL, blocks, pieces

DOCUMENT = "-DOCSTART-"
"""Marks, in place of a token, where a document begins; such lines are skipped."""
UNSPECIFIED = "_"
"""How CoNLL-U writes that a column has no value."""

_SPACES = re.compile("[ \t]+")  # no other character separates: a no-break space is part of a token
_WORD_SIZE = 32
"""What a word takes besides its characters, about, in bytes."""
_NOT_A_WORD = re.compile(r"\d+[-.]\d+")
"""In a column of numbers: a span of words that are written as one, or a word that is not written."""


@dataclass
class _Sentence:
    line: int
    """Where it begins."""
    words: list[list[str]] = field(default_factory=list)
    """Each word's columns."""
    lines: list[str] = field(default_factory=list)
    size: int = 0
    fault: tuple[int, str] | None = None


@dataclass(frozen=True)
class _Layout:
    """The columns of a file, as the first line that is not a comment has them."""

    width: int
    split: Callable[[str], list[str]]
    tokens: int
    tags: int
    """Indices, from 0."""
    tokens_given: bool
    tags_given: bool
    """Whether the settings say which column it is."""

    @classmethod
    def of(cls, line: str, name: str, data: Data) -> _Layout:
        """
        Raises:
            SettingsError: a column that the settings name is not there.
        """
        # a tab separates where there is one, so that a token may hold a space
        split = _by_tabs if "\t" in line else _by_spaces
        width = len(split(line))
        roles = data.columns
        tokens, tags = (
            _column(column, role, width, name, data)
            for role, column in (("tokens", roles.tokens), ("tags", roles.tags))
        )
        given = tokens is not None, tags is not None
        return cls(width, split, tokens or 0, width - 1 if tags is None else tags, *given)

    def is_comment(self, line: str) -> bool:
        """Whether a line that begins with `#` is no token: it has other columns than these, or is written
        as no token is here (`# id 1<tab>domain=en` where spaces separate)."""
        mixed = self.split is _by_spaces and "\t" in line and " " in line
        return line.startswith("#") and (mixed or len(self.split(line)) != self.width)

    def fault(self, line: str, cells: Sequence[str]) -> str | None:
        """What is wrong with a line."""
        if "\0" in line:
            return NUL
        if len(cells) < 2:
            return "a token without a tag"
        if len(cells) != self.width:
            return f"{len(cells)} columns where {self.width} are expected"
        if not cells[self.tokens] or not cells[self.tags]:
            return "an empty token or tag"
        if cells[self.tags] == UNSPECIFIED and not self.tags_given:
            return (
                f"the last column has no tag ({UNSPECIFIED}); if another column has, set "
                "FINETUNE_DATA__COLUMNS__TAGS to its number, from 1"
            )
        return None


class _Reader:
    """Collects lines to sentences."""

    def __init__(self, name: str, data: Data) -> None:
        self._name, self._data = name, data
        self._layout: _Layout | None = None
        self._held: list[tuple[int, str]] = []
        """Lines that are comments or tokens, which the first line that cannot be a comment decides."""
        self._sentence: _Sentence | None = None
        self._looked = False
        """Whether the words were looked at."""
        self._sample: list[list[list[str]]] = []
        self._good: list[_Sentence] = []
        self._bad: list[BadRow] = []

    def add(self, number: int, line: str) -> None:
        """One line, from 1; a blank one ends the sentence."""
        if self._layout is None and (not line.strip(" \t") or line.startswith(("#", DOCUMENT))):
            self._held.append((number, line))
            if len(self._held) > CHUNK_ROWS:
                self._decide(line)
            return
        if self._layout is None:
            self._decide(line)
        self._add(number, line)

    def _decide(self, line: str) -> None:
        self._layout = _Layout.of(line, self._name, self._data)
        held, self._held = self._held, []
        for number, earlier in held:
            self._add(number, earlier)

    def _add(self, number: int, line: str) -> None:
        layout = self._layout
        assert layout is not None
        if not line.strip(" \t"):
            self._end()
            return
        cells = layout.split(line)
        if cells[0] == DOCUMENT or layout.is_comment(line):
            return
        if 0 not in (layout.tokens, layout.tags) and _NOT_A_WORD.fullmatch(cells[0]):
            return
        sentence = self._sentence = self._sentence or _Sentence(number)
        sentence.lines.append(line)
        sentence.words.append(cells)
        sentence.size += len(line) + _WORD_SIZE
        if sentence.size > self._data.max_row_bytes:
            raise too_long(self._name, sentence.line, sentence.size, self._data.max_row_bytes)
        if fault := layout.fault(line, cells):
            sentence.fault = sentence.fault or (number, fault)

    def _end(self) -> None:
        sentence, self._sentence = self._sentence, None
        if sentence is None:
            return
        if not self._looked:
            self._sample.append(sentence.words)
        if sentence.fault:
            self._bad.append(BadRow(*sentence.fault, "\n".join(sentence.lines)))
        else:
            self._good.append(sentence)

    def chunk(self, *, last: bool = False) -> Chunk:
        """The sentences that have ended since the last call."""
        if last:
            if self._layout is None and (lines := [line for _, line in self._held if line]):
                self._decide(lines[0])
            self._end()
        self._look(last=last)
        good, bad, self._good, self._bad = self._good, self._bad, [], []
        tokens, tags = self._words(good)
        roles = self._data.columns
        columns = {
            roles.tokens: [json.dumps(words, ensure_ascii=False) for words in tokens],
            roles.tags: [json.dumps(words, ensure_ascii=False) for words in tags],
        }
        return Chunk(columns, [s.line for s in good], bad)

    def _words(self, sentences: list[_Sentence]) -> tuple[list[list[str]], list[list[str]]]:
        """The tokens of each sentence, and their tags."""
        if (layout := self._layout) is None:
            return [], []
        tokens = [[word[layout.tokens] for word in sentence.words] for sentence in sentences]
        tags = [[word[layout.tags] for word in sentence.words] for sentence in sentences]
        return tokens, tags

    def _look(self, *, last: bool) -> None:
        """See in the first sentences whether the tokens' column numbers the words, or names their
        document.

        Raises:
            DataError: it does.
        """
        if (layout := self._layout) is None or self._looked:
            return
        columns = [[c for word in w for c in word[layout.tokens :][:1]] for w in self._sample]
        words = [[cell for cell in cells if not _NOT_A_WORD.fullmatch(cell)] for cells in columns]
        long = [cells for cells in words if len(cells) > 2]
        if len(long) < 2 and not last:
            return
        self._looked, self._sample = True, []
        counted = all(cells in _numbers(len(cells)) for cells in long)
        same = len(long) > 1 and len({cell for cells in long for cell in cells}) == 1
        if not layout.tokens_given and long and (counted or (same and layout.width > 2)):
            raise DataError(
                f"{self._name}: column {layout.tokens + 1} holds "
                + (f"{long[0][0]!r} for every word" if same else "1, 2, 3 …")
                + ", not the words",
                hint="set FINETUNE_DATA__COLUMNS__TOKENS and FINETUNE_DATA__COLUMNS__TAGS to the "
                f"numbers of their columns, from 1 to {layout.width}",
            )


def _by_tabs(line: str) -> list[str]:
    return [cell.strip(" ") for cell in line.split("\t")]


def _by_spaces(line: str) -> list[str]:
    return _SPACES.split(line.strip(" \t"))


def _numbers(count: int) -> list[list[str]]:
    """How files number so many words."""
    return [[str(number) for number in range(first, first + count)] for first in (0, 1)]


def _column(column: str, role: str, width: int, name: str, data: Data) -> int | None:
    """The index of the column that the settings name; None where they name none."""
    if column in data.column_names:
        index = data.column_names.index(column)
    elif column.isdecimal():
        index = int(column) - 1
    elif data.column_names and column != role:
        index = width
    else:
        return None
    if not 0 <= index < width:
        raise SettingsError(
            f"{name}: FINETUNE_DATA__COLUMNS__{role.upper()}={column}, but the file has {width} "
            f"columns, with the names {', '.join(data.column_names) or 'none'}",
            hint="columns are numbered from 1; FINETUNE_DATA__COLUMN_NAMES names them",
        )
    return index


def read_conll(file: BinaryIO, name: str, data: Data) -> Iterator[Chunk]:
    """One row a sentence: its tokens and its tags, as JSON lists.

    These are the columns that FINETUNE_DATA__COLUMNS__TOKENS and __TAGS name, by a number from 1 or
    by a name among COLUMN_NAMES; otherwise the first and the last. Columns are separated by tabs or
    by spaces. A line that begins with `#` and has another number of columns is a comment. A sentence
    with any other such line is a bad row with that line's number.

    Raises:
        DataError: a line is endless, or the tokens' column holds numbers in order.
        SettingsError: Python does not know the encoding, or a column is not there.
    """
    reader = _Reader(name, data)
    lines = blocks(pieces(file, name, data), name, data)
    first = 1
    for block in chain(lines, (None,)):
        for number, line in enumerate(block or (), first):
            reader.add(number, line.rstrip("\r\n"))
        first += len(block or ())
        yield reader.chunk(last=block is None)
