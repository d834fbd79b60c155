"""Told to stop: SIGTERM and SIGINT as a flag, which every stage polls between two pieces of work.

What `poll` asks is set once, around the work (`polling`), and not handed down through every
function on the way. A thread that the work starts asks nothing, since it may not raise there.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType

from job.errors import Stopped

_asked: ContextVar[Callable[[], None] | None] = ContextVar("asked", default=None)


def poll() -> None:
    """Ask whether the work is to stop.

    Raises:
        Stopped: it is; or whatever else `polling` was given raises.
    """
    if (ask := _asked.get()) is not None:
        ask()


@contextmanager
def polling(ask: Callable[[], None]) -> Iterator[None]:
    """Let `poll` call `ask`, within this block and this thread."""
    token = _asked.set(ask)
    try:
        yield
    finally:
        _asked.reset(token)


class StopSignal:
    """SIGTERM and SIGINT as a flag that every stage polls between two pieces of work."""

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self._since: float | None = None

    def install(self) -> None:
        """Take over SIGTERM and SIGINT; a second one ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._since is not None:
            os._exit(Stopped.exit_code)
        self._since = time.monotonic()

    @property
    def raised(self) -> bool:
        """Whether the run was told to stop."""
        return self._since is not None

    @property
    def seconds_left(self) -> float:
        """What is left of the grace period; infinite before the signal."""
        if self._since is None:
            return float("inf")
        return self.grace_seconds - (time.monotonic() - self._since)

    def poll(self) -> None:
        """Raises:
        Stopped: the run was told to stop.
        """
        if self.raised:
            raise Stopped("stopped by a signal")


def die_with_parent() -> None:
    """Linux ends this process when its supervisor is killed: nobody else would."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
