"""One JSON value: decoded so that nothing in it is lost unseen, and not so deep that nobody can."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from job.text import is_all_text, is_deep, is_text

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.DOTALL)


class Repeated(dict[str, Any]):
    """An object in which a key appears twice; nobody knows which of the values was meant."""


class TooDeep:
    """Stands for a value that was skipped."""


class Value(NamedTuple):
    """A value of a document."""

    value: Any
    size: int
    """In characters."""
    half: bool = False
    """Whether one of its texts holds half a character."""

    @property
    def text(self) -> str:
        """The value as JSON."""
        if isinstance(self.value, TooDeep) or is_deep(self.value):
            return "…"
        return json.dumps(self.value, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else Repeated(value)


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def end_of(text: str, start: int) -> int | None:
    """Where the list or object that begins at `start` ends; None if the text is cut before that."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return None


def has_half(value: Any, text: str, start: int, end: int) -> bool:
    """Whether escapes in this part of a text stand for half a character (a lone surrogate)."""
    escaped = text.find("\\ud", start, end) >= 0 or text.find("\\uD", start, end) >= 0
    # where the text itself cannot be encoded, its bytes were not text
    return escaped and not is_deep(value) and not is_all_text(value) and is_text(text[start:end])
