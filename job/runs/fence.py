"""Ends a process once another one has begun a later attempt at the same run.

Compare-and-swap keeps the older attempt from doing damage when it writes; the fence keeps it from
holding its devices, and the pods that train with it, until then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from job.errors import Conflict, JobError
from job.runs.record import Run
from job.telemetry import log

LOOK_SECONDS = 5.0
"""Between two reads of the run's state."""


@contextmanager
def fenced(run: Run) -> Iterator[None]:
    """Within, look regularly whether this is still the run's last attempt, and exit if it is not."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            with suppress(
                JobError
            ):  # a store that does not answer is reported by those who need it
                if (last := run.last_attempt()) != run.state.attempt and not over.is_set():
                    log.error(
                        f"attempt {last} of run {run.state.run_id} has begun and this is attempt "
                        f"{run.state.attempt}; {Conflict.hint}"
                    )
                    os._exit(Conflict.exit_code)

    threading.Thread(target=watch, name="fence", daemon=True).start()
    try:
        yield
    finally:
        over.set()
