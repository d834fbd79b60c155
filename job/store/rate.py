"""A least rate for downloads: what only drips would end some day, and hold a run until then."""

from __future__ import annotations

import time

from job.errors import Unreachable

SECONDS = 60.0
LEAST = 64 << 10
"""Bytes that must come in each minute."""


class LeastRate:
    """Watches bytes as they come."""

    def __init__(self, what: str, seconds: float | None = None) -> None:
        """
        Args:
            what: is downloaded.
            seconds: how long the rate is measured; more where bytes are seen late, in large parts.
        """
        self._what = what
        self._seconds = seconds or SECONDS
        self._since, self._count = time.monotonic(), 0

    def add(self, size: int) -> None:
        """So many more bytes have come.

        Raises:
            Unreachable: they come too slowly.
        """
        self._count += size
        seconds = time.monotonic() - self._since
        if seconds < self._seconds:
            return
        if self._count < LEAST * seconds / 60:
            raise Unreachable(
                f"{self._what}: {self._count:,} bytes in {seconds:.0f} s",
                hint="the server, or the network, is too slow; try later",
            )
        self._since, self._count = time.monotonic(), 0
