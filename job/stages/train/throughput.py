"""How fast training is."""

from __future__ import annotations

import time


class Throughput:
    """Seconds and rows spent in steps, not in evaluations or checkpoints, over all attempts of a run."""

    def __init__(self, seconds: float, rows: int) -> None:
        self.seconds, self.rows = seconds, rows
        self._since = time.monotonic()

    def start(self) -> None:
        """A step begins now."""
        self._since = time.monotonic()

    def stop(self, rows: int) -> None:
        """A step over so many rows ends now."""
        self.seconds += time.monotonic() - self._since
        self.rows += rows
        self._since = time.monotonic()

    @property
    def rows_per_second(self) -> float:
        """The mean so far; 0 before the first step has ended."""
        return self.rows / self.seconds if self.seconds else 0.0
