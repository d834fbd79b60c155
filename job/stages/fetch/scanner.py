"""JSON that comes in pieces, a value at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator

from job.errors import DataError
from job.settings import Data
from job.stages.fetch.json_values import DECODER, TooDeep, Value, end_of, has_half

_SPACE = re.compile(r"[ \t\r\n]*")


class Scanner:
    """Takes one JSON value after the other from text that comes in pieces.

    ijson 3.6 (yajl) builds rows 1.4 times as fast, but lets a key appear twice: checked for that in
    its events, it is 0.7 times as fast. It also refuses NaN, which pandas writes.
    """

    def __init__(self, source: Iterator[str], name: str, data: Data) -> None:
        self._source, self.name, self._most = source, name, data.max_row_bytes
        self._text, self._at = "", 0

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Step over one of the expected characters."""
        char = self.peek()
        if not char or char not in expected:
            raise self.error(
                f"{char!r} where one of {expected!r} is expected" if char else "cut short"
            )
        self._at += 1
        return char

    def value(self) -> Value:
        """The next value.

        Raises:
            DataError: it is not JSON, or too long.
        """
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                skipped = end_of(self._text, self._at)
                if skipped is None:
                    self._read_on("cut short")
                    continue
                value, end = TooDeep(), skipped
            except ValueError as error:
                self._read_on(str(error))
                continue
            if end == len(self._text) and self._more():
                continue  # a number may go on in the next piece
            return self._taken(value, end)

    def whole(self) -> Value | None:
        """The value that comes next; None, and it is still to come, if it cannot be held as one."""
        self.peek()
        while len(self._text) - self._at <= self._most and self._more():
            pass
        if len(self._text) - self._at > self._most:
            return None
        value = self.value()
        if isinstance(value.value, TooDeep):
            self._at -= value.size
            return None
        return value

    def elements(self) -> Iterator[Value]:
        """The elements of the list that comes next."""
        self.take("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() != "]":
                self.take(",")
        self.take("]")

    def error(self, reason: str) -> DataError:
        """What is wrong with the document."""
        return DataError(
            f"{self.name}: not JSON that can be read as rows: {reason}",
            hint="a json file holds a list of objects, or one object; for one object a line set "
            "FINETUNE_DATA__FORMAT=jsonl",
        )

    def _taken(self, value: object, end: int) -> Value:
        start, self._at = self._at, end
        half = not isinstance(value, TooDeep) and has_half(value, self._text, start, end)
        return Value(value, end - start, half)

    def _read_on(self, reason: str) -> None:
        """More of a value that is not whole yet; twice as much, so that it is not tried at every piece."""
        if len(self._text) - self._at > self._most:
            raise self.error(
                f"{reason}, unless a value is longer than {self._most:,} characters, which "
                "FINETUNE_DATA__MAX_ROW_BYTES allows for"
            )
        if not self._more(double=True):
            raise self.error(reason)

    def _more(self, *, double: bool = False) -> bool:
        unread = [self._text[self._at :]]
        size = before = len(unread[0])
        for piece in self._source:
            unread.append(piece)
            size += len(piece)
            if not double or size >= 2 * before:
                break
        self._text, self._at = "".join(unread), 0
        return len(unread) > 1
