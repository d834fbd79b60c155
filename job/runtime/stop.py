"""How a process is stopped: SIGTERM and SIGINT raise a flag, and the work polls it between two pieces.

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

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


def poll() -> None:
    """Ask whether the work is to stop.

    Raises:
        Stopped: it is; or whatever else `polling` was given raises.
    """
    if (check := _check.get()) is not None:
        check()


@contextmanager
def polling(check: Callable[[], None]) -> Iterator[None]:
    """Let `poll` call `check`, within this block and this thread."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


class StopSignal:
    """The flag, and what is left of the grace period once it is raised."""

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self._since: float | None = None

    def install(self) -> None:
        """Handle SIGTERM and SIGINT; a second one ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._since is not None:
            os._exit(Stopped.exit_code)
        self._since = time.monotonic()

    @property
    def raised(self) -> bool:
        """Whether the process was told to stop."""
        return self._since is not None

    @property
    def seconds_left(self) -> float:
        """What is left of the grace period; infinite before the signal."""
        if self._since is None:
            return float("inf")
        return self.grace_seconds - (time.monotonic() - self._since)

    def poll(self) -> None:
        """
        Raises:
            Stopped: the process was told to stop.
        """
        if self.raised:
            raise Stopped("stopped by a signal")


def die_with_parent() -> None:
    """Have Linux kill this process when its supervisor is killed; nothing else would end it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
