"""Follow what was launched to its end, and show its progress: its own pods hold no token."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress

from job.cluster import Cluster, Object, Resource, ended
from job.errors import Absent, ClusterError, RunFailed, StoreError
from job.monitors.cluster import InCluster
from job.monitors.report import Report
from job.runs.record import State, state_of
from job.runtime.stop import StopSignal
from job.store import Store, layout
from job.telemetry import event, warn


class Followed:
    """An object in the cluster that a run, or its preparation, was made as."""

    def __init__(self, cluster: Cluster, body: Object, told: Report | None = None) -> None:
        """
        Args:
            told: the progress that an earlier launcher has shown.
        """
        self.cluster, self.resource = cluster, Resource.of(body)
        self.name = str(body["metadata"]["name"])
        self._sink = InCluster(cluster, self.resource, self.name, told=told)

    def to_the_end(
        self, store: Store, model: str, run_id: str, stop: StopSignal, every: float
    ) -> State | None:
        """Wait until it ends.

        Args:
            every: seconds between two looks.

        Raises:
            RunFailed: it failed, or was deleted.
            Stopped: this process was told to stop; what it follows goes on.
            ClusterError: the API server is gone for too long.

        Returns:
            The run's state.
        """
        event("following", object=f"{self.resource.plural}/{self.name}", run_id=run_id)
        while True:
            body = self.cluster.get(self.resource, self.name)
            if body is None:
                state = _state(store, model, run_id)
                if state is not None and state.outcome is not None:  # and tidied up since
                    return state
                raise RunFailed(f"{self.resource.plural}/{self.name} was deleted", deleted=True)
            end = ended(body)
            self._relay(store, f"{layout.run(model, run_id)}/{layout.PROGRESS}")
            if end is None:
                self._rest(stop, every)
                continue
            state = _state(store, model, run_id)
            if end[0]:
                return state
            raise self._failure(end[1], state)

    def _rest(self, stop: StopSignal, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            stop.poll()
            time.sleep(min(0.2, left))

    def _relay(self, store: Store, key: str) -> None:
        """Show the run's progress at the object; what goes wrong with it is no matter."""
        try:
            self._sink(Report.read(store.get(key)))
        except Absent:
            return
        except (StoreError, ClusterError, ValueError, KeyError, TypeError) as error:
            warn("progress could not be shown", reason=str(error)[:300])

    def _failure(self, said: str, state: State | None) -> RunFailed:
        """Why it failed: by what the run itself recorded, or else by what the controller says."""
        failure = state.failure if state else {}
        code = failure.get("exit_code") or _code_in(said)
        message = f"{self.resource.plural}/{self.name} failed ({said})"
        if failure:
            message = f"{failure['message']} [{message}]"
        with suppress(ClusterError):
            if about := self.cluster.get(self.resource, self.name):
                self.cluster.tell(about, "RunFailed", message)
        return RunFailed(message, code=code)


def report_of(store: Store, model: str, run_id: str) -> Report | None:
    """A run's progress as it is now; None where there is none to be read."""
    try:
        return Report.read(store.get(f"{layout.run(model, run_id)}/{layout.PROGRESS}"))
    except (StoreError, ValueError, KeyError, TypeError):
        return None


def _state(store: Store, model: str, run_id: str) -> State | None:
    try:
        return state_of(store, model, run_id)
    except (StoreError, json.JSONDecodeError):  # how the object ended is known all the same
        return None


def _code_in(said: str) -> int | None:
    """The exit code that a Job's condition names where its podFailurePolicy ended it."""
    found = re.search(r"exit code (\d+)", said)
    return int(found[1]) if found else None
