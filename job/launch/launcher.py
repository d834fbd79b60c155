"""`finetune launch`: if the data, the settings or the code have changed, train in the cluster; else skip.

The launcher's pod asks for no GPU. It may be killed at any moment: the next one finds by its labels
what is under way, and follows that.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from job import pipeline
from job.cluster import CRONJOBS, Cluster, Object, Resource, completion_of
from job.errors import (
    PERMANENT,
    ClusterError,
    JobError,
    RunFailed,
    Torn,
)
from job.launch import manifest
from job.launch.champion import show_champion
from job.launch.decision import Decision, Launched, Record, decide
from job.launch.follow import Workload
from job.runs import identity
from job.runs.attempt import before_recording, probed
from job.runs.change import Basis, Changes, launched_for, record_launch
from job.runs.listing import runs_of, state_of
from job.runs.record import Run, State
from job.runs.results import Result
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.store import Store
from job.telemetry import event

__all__ = ["Launcher", "launch"]


def launch(settings: Settings, stop: StopSignal) -> Result:
    """Decide, prepare, launch and follow, as far as there is reason to.

    Raises:
        RunFailed: the run failed.
        ClusterError: the API server did not do what it was asked.
        JobError: what a run may raise while it looks at its inputs and prepares.
    """
    body = manifest.read(settings.launch.manifests, "train")
    cluster = Cluster()
    with before_recording():
        store = probed(settings)
    return Launcher(settings, stop, cluster, store, body).launch()


@dataclass(frozen=True)
class Wanted:
    """What would be trained now."""

    identity: str
    basis: Basis

    def launched(self, decision: Decision, pending: str) -> Launched:
        """The record of it."""
        return Launched(decision.run_id, self.identity, pending=pending, decision=decision)


class Launcher:
    """One launcher, from its look at the cluster to the end of the run that it follows."""

    def __init__(
        self, settings: Settings, stop: StopSignal, cluster: Cluster, store: Store, body: Object
    ) -> None:
        self.settings, self.stop, self.cluster, self.store = settings, stop, cluster, store
        self.body = body
        self.owner = cluster.get(CRONJOBS, str(settings.launch.owner))
        release = str(settings.launch.release)
        self.record = Record(store, settings.name, cluster.namespace, release)

    def launch(self) -> Result:
        """Follow what is under way; otherwise decide, and act on it. In the end the CronJob shows which
        version is in use."""
        try:
            result = self._launch()
        except RunFailed:
            self._show_champion()
            raise
        self._show_champion()
        return result

    def _launch(self) -> Result:
        if workload := self._under_way():
            return self._take_over(workload)
        decision, wanted = self._decide()
        event("decided", run_id=decision.run_id, why=decision.why, skip=decision.skip)
        if decision.skip:
            return self._skip(decision)
        self._record(decision, wanted)
        self._prepare(decision.run_id)
        self.stop.poll()
        if workload := self._under_way():  # preparing may have taken hours
            return self._take_over(workload)
        return self._train(decision, wanted)

    def _train(self, decision: Decision, wanted: Wanted) -> Result:
        """Create the run's object and follow it; or another launcher's, where that came first.

        Raises:
            Conflict: another launcher has begun a run.
        """
        body = manifest.named(self.body, decision.run_id, self.owner)
        if pending := self.record.last.pending if self.record.last else "":
            late = self.cluster.get(Resource.of(body), pending)
            if late is None:
                body["metadata"]["name"] = pending
            elif completion_of(late) is None:
                return self._take_over(late)
        name = body["metadata"]["name"]
        self.record.write(wanted.launched(decision, pending=name))
        created = self.cluster.create(body)
        self.record.amend(decision.run_id, pending="")
        if manifest.run_id(created) != decision.run_id:
            return self._take_over(created)
        self._add_event("Launched", f"{name}: {decision.why}")
        return self._result_of(self._follow(created, decision.run_id), decision.run_id)

    def _under_way(self) -> Object | None:
        """The release's run that has not ended; of several the oldest."""
        labels = {
            "app.kubernetes.io/instance": str(self.settings.launch.release),
            "app.kubernetes.io/component": "train",
        }
        listed = self.cluster.list(Resource.of(self.body), labels)
        running = [item for item in listed if completion_of(item) is None]
        for item in running:  # a list's items leave these out
            item.update({name: self.body[name] for name in ("apiVersion", "kind")})
        return min(running, key=lambda item: item["metadata"]["creationTimestamp"], default=None)

    def _take_over(self, workload: Object) -> Result:
        """Follow what another launcher has created."""
        run_id = manifest.run_id(workload)
        return self._result_of(self._follow(workload, run_id), run_id)

    def _decide(self) -> tuple[Decision, Wanted]:
        """What to do, and what would be trained now."""
        settings, release = self.settings, str(self.settings.launch.release)
        inputs, image = resolve_inputs(settings.data), manifest.image(self.body)
        basis = Basis.found(settings, inputs, image)
        wanted = Wanted(identity.launch(settings, inputs, image), basis)
        base = manifest.base_id(self.cluster.namespace, release, wanted.identity)
        last = self._last()
        state = state_of(self.store, settings.name, last.run_id) if last else None
        existing = runs_of(self.store, settings.name, base)
        changes = ""
        if last and last.identity != wanted.identity:
            changes = self._changes_since(last.run_id, basis)
        launch = settings.launch
        decision = decide(last, state, base, wanted.identity, launch, existing, changes)
        return replace(decision, at=time.time(), image=image), wanted

    def _record(self, decision: Decision, wanted: Wanted) -> None:
        """Keep which run is launched, and for what.

        Raises:
            Conflict: another launcher has begun a run.
        """
        last = self.record.last
        if last is None or last.run_id != decision.run_id or last.failure:
            pending = last.pending if last else ""
            self.record.write(wanted.launched(decision, pending))
        record_launch(self.store, self.settings.name, decision.run_id, wanted.basis)

    def _changes_since(self, run_id: str, basis: Basis) -> str:
        """What differs from what a run was launched for, in words."""
        try:
            before = launched_for(self.store, self.settings.name, run_id)
        except Torn:
            return ""
        return str(Changes.between(before, basis)) if before else ""

    def _last(self) -> Launched | None:
        """The last launch; where its launcher was killed, how its run ended is looked up now."""
        last = self.record.last
        if last is None or last.failure:
            return last
        name = last.pending or manifest.named(self.body, last.run_id, None)["metadata"]["name"]
        workload = self.cluster.get(Resource.of(self.body), name)
        if workload is not None and manifest.run_id(workload) == last.run_id:
            completion = completion_of(workload)
            if completion is not None:
                followed = self._workload(workload)
                with suppress(RunFailed):  # it is in the record then
                    self._ended(last.run_id, lambda: followed.settle(workload, completion))
        return self.record.last

    def _skip(self, decision: Decision) -> Result:
        settings = self.settings
        run = Run.open(self.store, settings.name, decision.run_id, settings)
        run.skipped()
        self.record.amend(decision.run_id, decision=decision)
        self._add_event("Skipped", f"{decision.why}, {decision.run_id}")
        return Result({"skipped": decision.why, **run.state.result})

    def _prepare(self, run_id: str) -> None:
        """Encode the data set, so that no GPU waits for it; where no retry would help, the next
        launcher begins another run."""
        try:
            if self.settings.launch.prepare == "in_place":
                of_run = self.settings.model_copy(update={"run_id": run_id})
                pipeline.prepare_only(of_run, self.stop)
            elif self.settings.launch.prepare == "job":
                body = manifest.read(self.settings.launch.manifests, "prepare")
                created = self.cluster.create(manifest.named(body, run_id, self.owner))
                self._follow(created, run_id)
        except RunFailed:
            raise  # recorded already
        except JobError as error:
            if error.exit_code in PERMANENT:
                self.record.amend(run_id, failure=str(error)[:1000])
                self._add_event("RunFailed", f"preparing failed: {error}")
            raise

    def _follow(self, body: Object, run_id: str) -> State | None:
        """Wait for the end of a workload, and record a failure."""
        poll_seconds = self.settings.launch.poll_seconds
        workload = self._workload(body)
        return self._ended(run_id, lambda: workload.follow(self.stop, poll_seconds))

    def _workload(self, body: Object) -> Workload:
        return Workload(self.cluster, body, self.store, self.settings.name, self._add_event)

    def _ended(self, run_id: str, how: Callable[[], State | None]) -> State | None:
        """How a run has ended; a failure is recorded.

        Raises:
            RunFailed: it has failed.
        """
        try:
            return how()
        except RunFailed as error:
            if not error.deleted:
                self.record.amend(run_id, failure=error.message)
            self._add_event("RunFailed", error.message)
            raise

    def _result_of(self, state: State | None, run_id: str) -> Result:
        return Result(state.result if state else {"run": run_id})

    def _show_champion(self) -> None:
        show_champion(self.cluster, self.owner, self.store, self.settings)

    def _add_event(self, reason: str, message: str) -> None:
        """An Event about the CronJob; that it cannot be written is no reason to fail."""
        if self.owner is not None:
            with suppress(ClusterError):
                self.cluster.add_event(self.owner, reason, message, key=uuid.uuid4().hex)
