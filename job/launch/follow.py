"""Follow what was launched to its end, and show its progress: its own pods hold no token."""

from __future__ import annotations

import re
import time
from contextlib import suppress

from job.cluster import Cluster, Object, Resource, completion_of
from job.errors import Absent, ClusterError, RunFailed, StoreError
from job.monitors.annotations import ClusterSink
from job.monitors.report import Report
from job.runs.record import State, state_of
from job.runtime.stop import StopSignal
from job.store import Store, layout
from job.telemetry import event, warn

STOP_SECONDS = 0.2
"""Between two looks at whether this process was told to stop."""


class Workload:
    """The object in the cluster as which a run trains, or is prepared."""

    def __init__(self, cluster: Cluster, body: Object, shown: Report | None = None) -> None:
        """
        Args:
            shown: the progress that an earlier launcher has shown.
        """
        self.cluster, self.resource = cluster, Resource.of(body)
        self.name = str(body["metadata"]["name"])
        self._sink = ClusterSink(cluster, self.resource, self.name, shown=shown)

    def __str__(self) -> str:
        return f"{self.resource.plural}/{self.name}"

    def follow(
        self, store: Store, model: str, run_id: str, stop: StopSignal, poll_seconds: float
    ) -> State | None:
        """Wait until it ends.

        Args:
            poll_seconds: between two looks.

        Raises:
            RunFailed: it failed, or was deleted.
            Stopped: this process was told to stop; what it follows goes on.
            ClusterError: the API server is gone for too long.

        Returns:
            The run's state; None where it cannot be read.
        """
        event("following", object=str(self), run_id=run_id)
        while True:
            body = self.cluster.get(self.resource, self.name)
            if body is None:
                return self._after_deletion(_state(store, model, run_id))
            completion = completion_of(body)
            self._show_progress(store, f"{layout.run(model, run_id)}/{layout.PROGRESS}")
            if completion is None:
                _sleep(poll_seconds, stop)
                continue
            state = _state(store, model, run_id)
            if completion.succeeded:
                return state
            raise self._failure(completion.message, state)

    def _after_deletion(self, state: State | None) -> State:
        """The state of a run that ended well before its object was removed.

        Raises:
            RunFailed: the run had not ended.
        """
        if state is None or state.outcome is None:
            raise RunFailed(f"{self} was deleted", deleted=True)
        return state

    def _show_progress(self, store: Store, key: str) -> None:
        """Show the run's progress at the object; that it cannot be shown is no reason to fail."""
        try:
            self._sink(Report.read(store.get(key)))
        except Absent:
            return
        except (StoreError, ClusterError) as error:
            warn("progress could not be shown", reason=str(error)[:300])

    def _failure(self, reason: str, state: State | None) -> RunFailed:
        """Why it failed: by what the run itself recorded, or else by what the controller says."""
        recorded = state.failure if state else {}
        code = recorded.get("exit_code") or _code_in(reason)
        message = f"{self} failed ({reason})"
        if recorded:
            message = f"{recorded['message']} [{message}]"
        with suppress(ClusterError):
            if body := self.cluster.get(self.resource, self.name):
                self.cluster.add_event(body, "RunFailed", message)
        return RunFailed(message, code=code)


def report_of(store: Store, model: str, run_id: str) -> Report | None:
    """A run's progress as it is now; None where none can be read."""
    try:
        return Report.read(store.get(f"{layout.run(model, run_id)}/{layout.PROGRESS}"))
    except StoreError:
        return None


def _state(store: Store, model: str, run_id: str) -> State | None:
    try:
        return state_of(store, model, run_id)
    except StoreError:  # how the object ended is known all the same
        return None


def _sleep(seconds: float, stop: StopSignal) -> None:
    """
    Raises:
        Stopped: this process was told to stop meanwhile.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        stop.poll()
        time.sleep(min(STOP_SECONDS, left))


def _code_in(reason: str) -> int | None:
    """The exit code that a Job's condition names where its podFailurePolicy ended it."""
    match = re.search(r"exit code (\d+)", reason)
    return int(match[1]) if match else None
