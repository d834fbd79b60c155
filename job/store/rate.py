"""A least rate for downloads: what only drips would end some day, and hold a run until then."""

from __future__ import annotations

import time

from job.errors import Unreachable

SECONDS = 60.0
LEAST = 64 << 10
"""Bytes that must come in each such time."""


class LeastRate:
    """Watches bytes as they come."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._since, self._count = time.monotonic(), 0

    def add(self, size: int) -> None:
        """So many more bytes have come.

        Raises:
            Unreachable: they come too slowly.
        """
        self._count += size
        seconds = time.monotonic() - self._since
        if seconds < SECONDS:
            return
        if self._count < LEAST * seconds / SECONDS:
            raise Unreachable(
                f"{self._what}: {self._count:,} bytes in {seconds:.0f} s",
                hint="the server, or the network, is too slow; try later",
            )
        self._since, self._count = time.monotonic(), 0
