"""JSON that rows hold in their columns."""

from __future__ import annotations

import json
from typing import Any

from job.text import is_all_text, is_deep


def json_value(text: str) -> Any:
    """The value.

    Raises:
        ValueError: it is not JSON, nested more deeply than anything that is meant to be read, or holds
            half of a character, which is no text.
    """
    try:
        value = json.loads(text)
        deep = is_deep(value)
    except RecursionError:
        deep = True
    if deep:
        raise ValueError("nested too deeply")
    if ("\\ud" in text or "\\uD" in text) and not is_all_text(value):
        raise ValueError("holds half of a character")
    return value
