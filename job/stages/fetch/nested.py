"""Columns that lie within a column of objects, named with a dot: `translation.en`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from job.settings import Data
from job.stages.fetch.chunks import as_text


class Nested:
    """Adds the columns that the settings name with a dot to those that a file has."""

    def __init__(self, data: Data) -> None:
        names = [*data.columns.model_dump().values(), data.split_by]
        self._names = list(dict.fromkeys(name for name in names if name and "." in name))

    def added(self, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """The columns with those that lie within one of them; a value that is not there is null."""
        new = {}
        for name in self._names:
            place = None if name in columns else _place(name, columns)
            if place is not None:
                outer, *keys = place
                values = columns[outer].to_pylist()
                new[name] = pa.array([_within(value, keys) for value in values], pa.string())
        return {**columns, **new}


def _place(name: str, columns: Mapping[str, Any]) -> list[str] | None:
    """The column, of which the name may hold dots too, and the keys below it."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        outer = ".".join(parts[:end])
        if outer in columns:
            return [outer, *parts[end:]]
    return None


def _within(value: str | None, keys: list[str]) -> str | None:
    try:
        found = json.loads(value or "null")
    except (ValueError, RecursionError):
        return None
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return as_text(found)
