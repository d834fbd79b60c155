"""The end of a process in which a piece of work makes no progress."""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from job.errors import PeerLost
from job.telemetry import log

if TYPE_CHECKING:
    pass


class Watchdog:
    """Ends the process where a piece of work stands still, with the stacks of all threads in the log:
    a step that waits for ever would hold its GPU for ever."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._doing, self._until = "", float("inf")
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def watching(self, doing: str) -> Iterator[None]:
        """Expect this to be done within `seconds`."""
        self._doing, self._until = doing, time.monotonic() + self.seconds
        try:
            yield
        finally:
            self._until = float("inf")

    def beat(self) -> None:
        """What is watched goes on, and has its whole time again."""
        if self._until < float("inf"):
            self._until = time.monotonic() + self.seconds

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self.seconds / 4))
            if time.monotonic() > self._until:
                log.error(
                    f"{self._doing} has made no progress for {self.seconds:g} s; "
                    "the stacks of all threads follow"
                )
                faulthandler.dump_traceback(all_threads=True)
                os._exit(PeerLost.exit_code)
