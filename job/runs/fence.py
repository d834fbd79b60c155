"""Ends a process when another one has begun a later attempt of its run.

Compare-and-swap keeps the older one from doing damage whenever it writes; the fence keeps it from
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
"""Between two looks at the run's state."""


@contextmanager
def fenced(run: Run) -> Iterator[None]:
    """Within, check now and then that this is still the run's last attempt; exit with 75 if it is not."""
    released = threading.Event()

    def watch() -> None:
        while not released.wait(LOOK_SECONDS):
            with suppress(JobError):  # whoever needs the store notices
                other = run.overtaken_by()
                # one wrong read ends nothing
                if other and run.overtaken_by() and not released.is_set():
                    log.error(
                        f"{other} of run {run.state.run_id} has begun since this one; {Conflict.hint}"
                    )
                    os._exit(Conflict.exit_code)

    threading.Thread(target=watch, name="fence", daemon=True).start()
    try:
        yield
    finally:
        released.set()
