"""The names of classes that `datasets` stores as numbers, wherever in a column they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

Feature = Any
"""A column as `datasets` describes it: an object with a `_type`, a list of one feature, or features by
name."""


def features_with_names(schema: pa.Schema) -> dict[str, Feature]:
    """The columns that hold numbers of classes, from the schema's metadata."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {column: feature for column, feature in info.items() if _has_names(feature)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _has_names(feature: Feature) -> bool:
    if isinstance(feature, Mapping):
        if feature.get("_type") == "ClassLabel":
            return isinstance(feature.get("names"), list)
        return any(map(_has_names, feature.values()))
    return isinstance(feature, list) and any(map(_has_names, feature))


def named(value: Any, feature: Feature) -> Any:
    """A value with names in place of the numbers of classes; a number that has no name is null."""
    if value is None or not _has_names(feature):
        return value
    if isinstance(feature, list):
        return [named(item, feature[0]) for item in value]
    if feature.get("_type") == "ClassLabel":
        return _name(value, feature["names"])
    inner = feature.get("feature", feature) if "_type" in feature else feature
    if isinstance(value, Mapping):  # of a list of objects `datasets` makes an object of lists
        many = "_type" in feature
        return {k: named(v, [inner.get(k)] if many else inner.get(k)) for k, v in value.items()}
    return [named(item, inner) for item in value]


def _name(value: Any, names: Sequence[str]) -> Any:
    if not isinstance(value, (int, float)):
        return value
    number = (
        int(value) if value == value // 1 else -1
    )  # pandas makes floats of numbers beside nulls
    return names[number] if 0 <= number < len(names) else None
