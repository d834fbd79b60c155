"""JSON that rows hold in their columns."""

from __future__ import annotations

import json
from typing import Any


def json_value(text: str) -> Any:
    """The value.

    Raises:
        ValueError: it is not JSON, nested more deeply than anything that is meant to be read, or holds
            half of a character, which is no text.
    """
    try:
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value
