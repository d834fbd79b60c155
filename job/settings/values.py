"""What a source of settings may hold at all, before anybody asks what it is for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from job.settings import names
from job.settings.sources import DEEPEST, TOO_DEEP, variable
from job.text import is_text

MOST = 100_000
"""Values in one source."""


def unfit(values: Mapping[str, Any], origin: str) -> list[str]:
    """What is wrong with the first value that no setting can have; none where all are fit.

    YAML's aliases make little text endless, so that depth and number are bounded.
    """
    left: list[tuple[names.Path, Any]] = [((), values)]
    for _ in range(MOST):
        if not left:
            return []
        path, value = left.pop()
        wrong = TOO_DEEP if len(path) > DEEPEST else _wrong(value)
        if isinstance(value, dict) and not wrong:
            wrong = next((f"{key!r} cannot be a key" for key in value if _wrong_key(key)), None)
            left += [((*path, str(key)), item) for key, item in value.items()]
        elif isinstance(value, list):
            left += [((*path, str(number)), item) for number, item in enumerate(value)]
        if wrong:
            return [f"{_shown(path)} ({origin}): {wrong}"]
    return [f"{origin}: more than {MOST} values"]


def _shown(path: names.Path) -> str:
    leaf = names.owner(path)
    return variable(leaf.path if leaf else path[:3])


def _wrong_key(key: Any) -> bool:
    return not isinstance(key, (str, int, float)) or _wrong(key) is not None


def _wrong(value: Any) -> str | None:
    """Why a value can be none of a setting's; None where it can."""
    if isinstance(value, str):
        if not is_text(value):
            return "holds half a character (a lone surrogate)"
        return "holds a NUL character" if "\0" in value else None
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    if value is None or isinstance(value, (bool, int, float, dict, list)):
        return None
    return f"a {type(value).__name__}, which no setting is; put it in quotes"
