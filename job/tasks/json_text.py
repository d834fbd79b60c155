"""JSON that rows hold in their columns."""

from __future__ import annotations

import json
from typing import Any


def json_value(text: str) -> Any:
    """The value.

    Raises:
        ValueError: it is not JSON, or nested more deeply than anything that is meant to be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
