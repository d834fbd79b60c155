"""`finetune launch`: if the data, the settings or the code have changed, train in the cluster; else skip.

The launcher's pod asks for no GPU. It may be killed at any moment: the next one finds by its labels
what is under way, and follows that.
"""

from __future__ import annotations

from contextlib import suppress

from job import pipeline
from job.cluster import CRONJOBS, Cluster, Object, Resource, ended
from job.errors import (
    PERMANENT,
    ClusterError,
    JobError,
    RunFailed,
    before_recording,
)
from job.launch import manifest
from job.launch.follow import Followed, report_of
from job.launch.record import Decision, Launched, Record, decide
from job.monitors.report import Report
from job.runs.attempt import probed
from job.runs.identity import identity
from job.runs.record import Run, State, runs_of, state_of
from job.runs.results import Result
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.store import Store
from job.telemetry import event

__all__ = ["launch"]


def launch(settings: Settings, stop: StopSignal) -> Result:
    """Look, prepare, launch and follow, as far as there is reason to.

    Raises:
        RunFailed: the run failed.
        ClusterError: the API server did not do what it was asked.
        JobError: what a run may raise while it looks at its inputs and prepares.
    """
    body = manifest.read(settings.launch.manifests, "train")
    cluster = Cluster()
    with before_recording():
        store = probed(settings)
    return _Launcher(settings, stop, cluster, store, body).launch()


class _Launcher:
    """One launcher's life."""

    def __init__(
        self, settings: Settings, stop: StopSignal, cluster: Cluster, store: Store, body: Object
    ) -> None:
        self.settings, self.stop, self.cluster, self.store = settings, stop, cluster, store
        self.body = body
        self.owner = cluster.get(CRONJOBS, str(settings.launch.owner))
        release = str(settings.launch.release)
        self.record = Record(store, settings.name, cluster.namespace, release)

    def launch(self) -> Result:
        """Follow what is under way; or else decide, and do it."""
        if under_way := self._under_way():
            return self._take_over(under_way)
        decision, wanted = self._decide()
        event("looked", run_id=decision.run_id, why=decision.why, skip=decision.skip)
        if decision.skip:
            return self._skip(decision)
        before = self.record.last
        if before is None or before.run_id != decision.run_id or before.failure:
            self.record.write(Launched(decision.run_id, wanted))
        self._prepared(decision.run_id, wanted)
        self.stop.poll()
        self.record.check()  # preparing may have taken hours
        if under_way := self._under_way():
            return self._take_over(under_way)
        made = self.cluster.create(manifest.named(self.body, decision.run_id, self.owner))
        self._say("Launched", f"{made['metadata']['name']}: {decision.why}")
        return self._follow(made, decision.run_id)

    def _under_way(self) -> Object | None:
        """The release's run that has not ended; of several the oldest."""
        labels = {
            "app.kubernetes.io/instance": str(self.settings.launch.release),
            "app.kubernetes.io/component": "train",
        }
        found = self.cluster.list(Resource.of(self.body), labels)
        going = [item for item in found if ended(item) is None]
        for item in going:  # a list's items leave these out
            item.update({name: self.body[name] for name in ("apiVersion", "kind")})
        return min(going, key=lambda item: item["metadata"]["creationTimestamp"], default=None)

    def _take_over(self, body: Object) -> Result:
        """Follow what another launcher has made."""
        run_id = str(body["metadata"].get("annotations", {}).get(manifest.RUN_ID, ""))
        told = report_of(self.store, self.settings.name, run_id)
        return self._follow(body, run_id, told)

    def _decide(self) -> tuple[Decision, str]:
        settings = self.settings
        inputs = resolve_inputs(settings.data)
        wanted = identity(settings, inputs, manifest.image(self.body))
        release = str(settings.launch.release)
        base = manifest.base_id(self.cluster.namespace, release, wanted)
        last = self._last()
        state = state_of(self.store, settings.name, last.run_id) if last else None
        there = runs_of(self.store, settings.name, base)
        return decide(last, state, base, wanted, settings.launch, there), wanted

    def _last(self) -> Launched | None:
        """The last launch; where its launcher was killed, how its run ended is found out now."""
        last = self.record.last
        if last is None or last.failure:
            return last
        body = manifest.named(self.body, last.run_id, None)
        found = self.cluster.get(Resource.of(body), body["metadata"]["name"])
        end = ended(found) if found else None
        if end is not None and not end[0]:
            self.record.write(Launched(last.run_id, last.identity, failure=end[1]))
        return self.record.last

    def _skip(self, decision: Decision) -> Result:
        settings = self.settings
        run = Run.open(self.store, settings.name, decision.run_id, settings)
        run.skipped()
        self._say("Skipped", f"{decision.why}, {decision.run_id}")
        return Result({"skipped": decision.why, **run.state.result})

    def _prepared(self, run_id: str, wanted: str) -> None:
        """Prepare; where no retry would help, the next launcher begins another run."""
        try:
            self._prepare(run_id)
        except RunFailed:
            raise  # recorded already
        except JobError as error:
            if error.exit_code in PERMANENT:
                self.record.write(Launched(run_id, wanted, failure=str(error)[:1000]))
                self._say("RunFailed", f"preparing failed: {error}")
            raise

    def _prepare(self, run_id: str) -> None:
        """Encode the data set, so that no GPU waits for it."""
        settings = self.settings
        if settings.launch.prepare == "in_place":
            of_run = settings.model_copy(update={"run_id": run_id})
            pipeline.prepare(of_run, self.stop)
        elif settings.launch.prepare == "job":
            body = manifest.read(settings.launch.manifests, "prepare")
            made = self.cluster.create(manifest.named(body, run_id, self.owner))
            self._end_of(made, run_id)

    def _follow(self, body: Object, run_id: str, told: Report | None = None) -> Result:
        state = self._end_of(body, run_id, told)
        return Result(state.result if state else {"run": run_id})

    def _end_of(self, body: Object, run_id: str, told: Report | None = None) -> State | None:
        settings = self.settings
        followed = Followed(self.cluster, body, told)
        try:
            return followed.to_the_end(
                self.store, settings.name, run_id, self.stop, settings.launch.poll_seconds
            )
        except RunFailed as error:
            last = self.record.last
            if last is not None and last.run_id == run_id and not error.deleted:
                self.record.write(Launched(run_id, last.identity, failure=error.message))
            self._say("RunFailed", error.message)
            raise

    def _say(self, reason: str, message: str) -> None:
        """An Event at the CronJob; that it cannot be written is no reason to fail."""
        if self.owner is not None:
            with suppress(ClusterError):
                self.cluster.tell(self.owner, reason, message)
