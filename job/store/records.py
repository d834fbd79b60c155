"""JSON objects in a store, which other releases, and people, may have written."""

from __future__ import annotations

import json
from typing import Any

from job.errors import Torn, one_line
from job.store.base import Reader


def parsed(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object that some bytes hold.

    Args:
        where: its URI, for the error.

    Raises:
        Torn: they hold none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged(where, error) from None
    if not isinstance(value, dict):
        raise damaged(where, TypeError(f"it holds a {type(value).__name__}"))
    return value


def read_json(store: Reader, key: str) -> dict[str, Any]:
    """The JSON object at `key`.

    Raises:
        Absent: there is none.
        Torn: something else is there.
    """
    return parsed(store.get(key), f"{store.uri}/{key}")


def damaged(where: str, error: Exception) -> Torn:
    """What to say of a record that cannot be understood."""
    return Torn(
        f"{where} is not a record of this job ({one_line(error)})",
        hint="it was damaged or written by hand; restore an older version of it, or start a new run "
        "under another FINETUNE_RUN_ID",
    )
