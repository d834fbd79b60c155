"""The metrics of every step, in one object for each attempt, since none can be appended to."""

from __future__ import annotations

import json
from typing import Any

from job.store import Store, layout


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
    resumed at was lost with it, and is cut.

    Args:
        prefix: the run's.
    """
    lines: list[dict[str, Any]] = []
    parts = sorted(
        item.key for item in store.list(layout.metrics_of(prefix)) if layout.is_metrics(item.key)
    )
    for key in parts:
        head, *rest = [json.loads(line) for line in store.get(key).splitlines()]
        lines = [line for line in lines if line["step"] <= head["resumed_at"]] + rest
    return lines
