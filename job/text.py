"""What can be written and read again anywhere: text of whole characters, in values of bounded depth."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

MAX_DEPTH = 200
"""Levels of lists and objects within each other. Python's own decoder gives up at about a thousand,
less what the caller's stack takes."""


def is_text(value: str) -> bool:
    """Whether a string has a UTF-8 form: it holds no half of a character (a lone surrogate), which is also
    how Python stands for a byte that it cannot decode."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_all_text(value: Any) -> bool:
    """Whether every string in a value of JSON is text."""
    return is_text(json.dumps(value, ensure_ascii=False))


def is_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether a value has more than so many levels."""
    if not isinstance(value, (dict, list, tuple)):
        return False
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list, tuple)) and (levels <= 1 or is_deep(item, levels - 1)):
            return True
    return False


def moment(seconds: float) -> str:
    """A time, given in seconds since 1970, by RFC 3339, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def one_line(error: BaseException, most: int = 300) -> str:
    """What a library says, on one line and not too long."""
    return " ".join(str(error).split())[:most]
