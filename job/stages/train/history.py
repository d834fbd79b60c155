"""The metrics of every step, in one object for each attempt, since none can be appended to."""

from __future__ import annotations

import json
import sys
from typing import Any

from job.store import Store, layout
from job.telemetry import warn


class History:
    """This attempt's part of the metrics, written whole at every checkpoint."""

    def __init__(self, store: Store, prefix: str, attempt: int, resumed_at: int) -> None:
        self.store, self.key = store, layout.metrics(prefix, attempt)
        self.lines: list[dict[str, Any]] = [{"resumed_at": resumed_at}]

    def add(self, line: dict[str, Any]) -> None:
        """Append a line; it must have a `step`."""
        self.lines.append(line)

    def commit(self) -> None:
        """Write this attempt's part as it is now."""
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        self.store.put(self.key, text.encode())


def merged_history(store: Store, prefix: str) -> list[dict[str, Any]]:
    """The parts of all attempts as one history: what an attempt did after the step that the next one
    resumed at was lost with it, and is cut. What cannot be read of a part is left out.

    Args:
        prefix: the run's.
    """
    lines: list[dict[str, Any]] = []
    listed = (item.key for item in store.list(layout.metrics_of(prefix)))
    for key in sorted(
        filter(layout.is_metrics, listed), key=lambda key: layout.attempt_of(key) or 0
    ):
        resumed_at, rest = _part(store, key)
        lines = [line for line in lines if line["step"] <= resumed_at] + rest
    return lines


def _part(store: Store, key: str) -> tuple[int, list[dict[str, Any]]]:
    """The step that an attempt resumed at, and its lines."""
    for _ in range(2):  # one wrong answer condemns nothing
        texts = store.get(key).splitlines()
        lines = [line for text in texts if (line := _line(text)) is not None]
        if len(lines) == len(texts) > 0:
            break
    else:
        warn("metrics are damaged; what can be read of them is kept", key=key, lines=len(lines))
    rest = [line for line in lines if "step" in line]
    first = next((line["resumed_at"] for line in lines if "resumed_at" in line), None)
    if first is None:
        first = rest[0]["step"] - 1 if rest else sys.maxsize
    return first, rest


def _line(text: bytes) -> dict[str, Any] | None:
    """A line of a part, which holds a step; None where it is not one."""
    try:
        line = json.loads(text)
        numbers = [line[name] for name in ("step", "resumed_at") if name in line]
    except (ValueError, TypeError, RecursionError):
        return None
    return line if len(numbers) == 1 and isinstance(numbers[0], int) else None
