"""Settings for people: the effective ones with their origins, and the reference of all of them."""

from __future__ import annotations

import json
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from job.settings.load import Loaded
from job.settings.names import Leaf, leaves
from job.settings.sources import variable


def effective(loaded: Loaded) -> str:
    """One line a setting: variable, value, origin."""
    values = loaded.settings.model_dump(mode="json")
    rows = []
    for path, leaf in leaves().items():
        value = _at(values, path)
        if value is _ABSENT or (isinstance(value, dict) and not leaf.open):
            continue
        origins = [
            o for p, o in loaded.origins.items() if p[: len(path)] == path or path[: len(p)] == p
        ]
        text = json.dumps(value, ensure_ascii=False)
        rows.append((variable(path), text, (origins or ["default"])[0]))
    names, shown = (max(len(row[i]) for row in rows) for i in (0, 1))
    shown = min(shown, 50)
    return "\n".join(f"{name:<{names}}  {value:<{shown}}  {origin}" for name, value, origin in rows)


_ABSENT = object()


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return _ABSENT
        values = values[part]
    return values


def reference() -> str:
    """Every setting as a Markdown table."""
    lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for path, leaf in leaves().items():
        cells = (
            f"`{variable(path)}`",
            _named(leaf.field.annotation),
            _default(leaf),
            leaf.field.description or "",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _named(annotation: Any) -> str:
    """A type as a reader of the reference would call it."""
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return _named(parts[0])
    if kind in (Union, UnionType):
        return " | ".join(_named(part) for part in parts)
    if kind is Literal:
        return " | ".join(json.dumps(part) for part in parts)
    if kind is tuple:
        return f"list of {_named(parts[0])}"
    if kind is dict:
        return f"object of {_named(parts[1])}"
    if annotation is NoneType:
        return "none"
    if annotation is SecretStr:
        return "str"
    return str(getattr(annotation, "__name__", annotation))


def _default(leaf: Leaf) -> str:
    default = leaf.field.get_default(call_default_factory=True)
    return (
        ""
        if default is PydanticUndefined or default is None
        else f"`{json.dumps(default, default=str)}`"
    )
