"""The end of a process whose work makes no progress: a step that waits for ever would hold its GPU for ever."""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from job.errors import PeerLost
from job.telemetry import log


class Watchdog:
    """Ends the process with 75 where a piece of work takes too long, the stacks of all threads logged."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._doing, self._deadline = "", float("inf")
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def watching(self, doing: str) -> Iterator[None]:
        """Expect this to be done within `seconds`."""
        self._doing, self._deadline = doing, time.monotonic() + self.seconds
        try:
            yield
        finally:
            self._deadline = float("inf")

    def beat(self) -> None:
        """Note progress: what is watched has its whole time again."""
        if self._deadline < float("inf"):
            self._deadline = time.monotonic() + self.seconds

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self.seconds / 4))
            if time.monotonic() > self._deadline:
                log.error(
                    f"{self._doing} has made no progress for {self.seconds:g} s; "
                    "the stacks of all threads follow"
                )
                faulthandler.dump_traceback(all_threads=True)
                os._exit(PeerLost.exit_code)
