"""Follow what was launched to its end, and show its progress: its own pods hold no token."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from job.cluster import Cluster, Completion, Object, Resource, completion_of
from job.data.artifacts import canonical_json
from job.errors import Absent, ClusterError, ClusterForbidden, RunFailed, StoreError
from job.launch import manifest
from job.launch.champion import reason_of, said_of, verdict_on
from job.launch.failure import failure_of
from job.launch.queue import Waiting, unstarted, waiting
from job.monitors.annotations import ClusterSink
from job.monitors.report import Milestone, Report
from job.registry.champion import Move
from job.runs.listing import state_of
from job.runs.record import State
from job.runtime.stop import StopSignal
from job.store import Store, layout
from job.telemetry import event, warn

STOP_SECONDS = 0.2
"""Between two looks at whether this process was told to stop."""
PATIENCE = 3600.0
"""Seconds for which an API server may be gone while a run is followed, besides what a request is retried."""

Tell = Callable[[str, str], None]
"""Told of a reason and a message, for an Event."""


class Workload:
    """The object in the cluster as which a run trains, or is prepared."""

    def __init__(
        self, cluster: Cluster, body: Object, store: Store, model: str, tell: Tell
    ) -> None:
        """
        Args:
            tell: is told, besides the object's own Events, when it waits in a queue.
        """
        self.cluster, self.resource = cluster, Resource.of(body)
        self.name, self.run_id = str(body["metadata"]["name"]), manifest.run_id(body)
        self._store, self._model, self._tell = store, model, tell
        self._run = layout.run(model, self.run_id)
        self._prepares = manifest.prepares(body)
        self._sink = ClusterSink(cluster, self.resource, self.name)
        self._waiting: Waiting | None = None
        self._said: set[tuple[str, str]] = set()

    def __str__(self) -> str:
        return f"{self.resource.plural}/{self.name}"

    def follow(self, stop: StopSignal, poll_seconds: float) -> State | None:
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
        event("following", object=str(self), run_id=self.run_id)
        self._forget_waiting()  # an earlier launcher may have written it
        last_answer = time.monotonic()
        while True:
            try:
                body = self.cluster.get(self.resource, self.name)
                last_answer = time.monotonic()
            except ClusterForbidden:
                raise
            except ClusterError as error:
                if time.monotonic() - last_answer > PATIENCE:
                    raise
                warn("the run cannot be followed for now", reason=error.message)
                _sleep(poll_seconds, stop)
                continue
            if body is None:
                return self._after_deletion(self._state())
            completion = completion_of(body)
            if completion is not None:
                return self.settle(body, completion)
            self._look_at_queue(body)
            self._show(self._report())
            _sleep(poll_seconds, stop)

    def _after_deletion(self, state: State | None) -> State:
        """The state of a run that ended well before its object was removed.

        Raises:
            RunFailed: the run had not ended.
        """
        if state is None or state.outcome is None:
            raise RunFailed(f"{self} was deleted", deleted=True)
        return state

    def settle(self, body: Object, completion: Completion) -> State | None:
        """The state of a run whose object has ended well; its last report is shown in any case, even
        where the run itself could not write it, and where nobody followed it to its end.

        Raises:
            RunFailed: it has not ended well.
        """
        self._forget_waiting()
        state, report = self._state(), self._report()
        if completion.succeeded:
            verdict = verdict_on(self._store, self._model, self.run_id)
            self._show(_completed(report, state, verdict))
            return state
        failure = failure_of(self.cluster, body, completion.message, state)
        self._show(replace(report, figures={**report.figures, **failure.figures}))
        with suppress(ClusterError):
            self.cluster.add_event(body, "RunFailed", failure.message)
        raise RunFailed(failure.message, code=failure.code)

    def _look_at_queue(self, body: Object) -> None:
        """Say that it waits and why, in the log, as Events and in the store, once for each reason."""
        now = waiting(self.cluster, body)
        if now is None and self._unbegun():
            now = unstarted(self.cluster, body)
        if now is None:
            if self._waiting is not None:
                event("waits no longer", object=str(self))
                self._forget_waiting()
            return
        if now.same_as(self._waiting):
            return
        self._waiting = now
        with suppress(StoreError):  # the next reason may come to it
            self._store.put(f"{self._run}/{layout.WAITING}", canonical_json(asdict(now)))
        if (reason := (now.reason, now.stopped)) in self._said:
            return  # some reasons come and go
        self._said.add(reason)
        warn(f"{self} {now}")
        self._tell("Queued", f"{self} {now}")
        with suppress(ClusterError):
            self.cluster.add_event(body, "Queued", str(now))

    def _unbegun(self) -> bool:
        """Whether no pod of the run has come so far as to say that it has begun."""
        state = self._state()
        return state is None or not (state.preparations if self._prepares else state.attempt)

    def _forget_waiting(self) -> None:
        self._waiting = None
        with suppress(StoreError):
            self._store.delete([f"{self._run}/{layout.WAITING}"])

    def _report(self) -> Report:
        """The run's progress as the store has it, and how it stands where its queue holds it."""
        key = layout.PREPARATION if self._prepares else layout.PROGRESS
        report = Report()
        try:
            report = Report.read(self._store.get(f"{self._run}/{key}"))
        except Absent:
            pass
        except StoreError as error:
            warn("progress could not be read", reason=str(error)[:300])
        if self._waiting is None:
            return report
        state = self._state()
        stands = f"stopped {state.position}, " if state and state.attempt else ""
        figures: dict[str, Any] = {"status": f"{stands}{self._waiting}", "eta_seconds": None}
        if state and state.step:
            figures["step"] = state.step
        return replace(report, figures={**report.figures, **figures})

    def _show(self, report: Report) -> None:
        """Show a report at the object; that it cannot be shown is no reason to fail."""
        try:
            self._sink(report)
        except ClusterError as error:
            warn("progress could not be shown", reason=error.message[:300])

    def _state(self) -> State | None:
        try:
            return state_of(self._store, self._model, self.run_id)
        except StoreError:  # how the object ended is known all the same
            return None


def _completed(report: Report, state: State | None, verdict: Move | None) -> Report:
    """The last report of a run whose object has ended well, with what its state and the champion's
    history have and it has not."""
    figures = {**report.figures, "status": "done", "eta_seconds": None}
    if state is None or state.outcome is None:
        return replace(report, figures=figures)
    figures |= {**state.result, "step": max(state.step, report.figures.get("step", 0))}
    reached = {"Published": f"published, {state.result.get('model', '')}"}
    if verdict is not None:
        reached[reason_of(verdict)] = said_of(verdict)
    milestones = list(report.milestones)
    for reason, message in reached.items():
        if not any(milestone.reason == reason for milestone in milestones):
            number = milestones[-1].number + 1 if milestones else 1
            milestones.append(Milestone(number, reason, message, state.ended))
    return replace(report, figures=figures, milestones=tuple(milestones))


def _sleep(seconds: float, stop: StopSignal) -> None:
    """
    Raises:
        Stopped: this process was told to stop meanwhile.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        stop.poll()
        time.sleep(min(STOP_SECONDS, left))
