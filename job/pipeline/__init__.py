"""The run, as a list: fetch, clean, encode, train, evaluate, publish."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from job import checks, prepare, tasks
from job.data.artifacts import Dataset
from job.distributed.membership import Membership
from job.distributed.world import World
from job.errors import (
    JobError,
    PeerLost,
    Stopped,
    StoreError,
    StoreUnreachable,
    Unreachable,
)
from job.gate import Challenger, Verdict, judge, settle
from job.gate.outlook import say_outlook
from job.models import Place
from job.models.base import shared_place
from job.monitors import reporting
from job.monitors.failure import failed
from job.pipeline.ending import finish, make_up, published_before, settled_before
from job.registry.versions import Version
from job.runs import results
from job.runs.attempt import Attempt, announce, before_recording, begin, find_run, follow
from job.runs.fence import fenced
from job.runs.provenance import Provenance
from job.runs.record import Run
from job.runs.results import Result
from job.runtime.scratch import scratch_folder
from job.runtime.stop import StopSignal
from job.scoring.inference import Inference
from job.settings import Settings
from job.stages import encode
from job.stages.evaluate import Scores, evaluate
from job.stages.publish import PublishedVersion, Release, publish
from job.stages.train import (
    Sample,
    StartingPoint,
    TrainContext,
    TrainOutput,
    Workspace,
    train,
    try_out,
)
from job.stages.train.history import merged_history
from job.store import layout
from job.store.commit import fetch as fetch_artifact
from job.tasks.base import Task
from job.telemetry import event, figures, milestone


def run(settings: Settings, stop: StopSignal) -> Result:
    """The whole run.

    Raises:
        JobError: every way in which a run can end badly; its exit code says which.
    """
    return _attempted(settings, stop, _train_and_publish)


def prepare_only(settings: Settings, stop: StopSignal) -> Result:
    """The run up to its encoded data set, for a pod without a GPU.

    Raises:
        JobError: as `run`.
    """
    return _attempted(settings, stop, _prepare, preparing=True)


def outcome(settings: Settings, stop: StopSignal) -> Result:
    """Whether the run has ended well; asked by a pod that comes when the others are gone."""
    return Result({"finished": find_run(settings)[0].finished})


def _attempted(
    settings: Settings,
    stop: StopSignal,
    work: Callable[[Attempt], Result],
    *,
    preparing: bool = False,
) -> Result:
    """An attempt at the run: begun, reported, fenced, and its end recorded."""
    world = World(settings.runtime, Membership.of(os.environ))
    with scratch_folder(settings.runtime) as scratch:
        if not world.first:
            return _follow(follow(settings, scratch, stop, world))
        record, inputs = find_run(settings)
        if record.finished:
            event("the run is finished already", run_id=record.state.run_id)
            make_up(settings, record, scratch)
            return Result(record.state.result)
        progress = record.key(layout.PREPARATION if preparing else layout.PROGRESS)
        with reporting(settings, record.store, progress, record.state.begun + 1, stop):
            try:
                with before_recording():
                    bound = settings.runtime.max_stalled_attempts
                    record.begin_attempt(bound, preparing=preparing)
                announce(record, str(settings.output))
                with fenced(record):
                    if published := published_before(settings, record, scratch):
                        event("published already", version=published.version.name)
                        move = settled_before(settings, record, published, scratch)
                        return finish(settings, record, published, move)
                    return work(begin(settings, record, inputs, scratch, stop, world))
            except JobError as error:
                with suppress(StoreError):  # how it ended is what matters
                    _record_end(record, world, error)
                raise


def _record_end(record: Run, world: World, error: JobError) -> None:
    """Write into the run's state how an attempt ended, unless it was the store that did not answer."""
    if isinstance(error, (Unreachable, StoreUnreachable)):
        return
    if isinstance(error, Stopped):
        state = record.state
        figures(status=f"stopped {state.position}", step=state.step, eta_seconds=None)
        milestone("Stopped", f"stopped {state.position}")
        record.stopped()
    elif isinstance(error, PeerLost):
        if not world.formed:
            record.uncounted()
    else:
        figures(status=failed(error), eta_seconds=None)
        milestone("RunFailed", "failed", error=str(error), exit_code=error.exit_code)
        record.failed(error)


def _prepare(attempt: Attempt) -> Result:
    task, dataset = prepare.dataset(attempt)
    place, scratch = _start_place(attempt, dataset), attempt.scratch
    start = StartingPoint(attempt.settings, task, place, attempt.base.tokenizer)
    try_out(start, Sample.of(dataset, attempt.limits.padding), scratch)
    store, name = attempt.run.store, attempt.settings.name
    key = layout.dataset(name, dataset.fingerprint)
    attempt.run.uncounted()
    figures(status="done")
    return Result({"dataset": str(store.uri / key)})


def _train_and_publish(attempt: Attempt) -> Result:
    """The stages in their order."""
    task, dataset = prepare.dataset(attempt)
    say_outlook(attempt.settings, task, attempt.run.store, attempt.scratch / "outlook")
    attempt.world.rendezvous.publish("dataset", dataset.fingerprint)
    attempt.world.rendezvous.publish_to_node("dataset", str(dataset.folder))
    trained = train(_train_context(attempt, task, dataset))
    scores = _evaluated(attempt, task, dataset, trained)
    record, scratch = attempt.run, attempt.scratch
    version = Version.of(attempt.settings.name, record.state.run_id, record.state.attempt)
    challenger = Challenger(version, trained.place, attempt.settings, dataset)
    judgement = judge(challenger, record.store, scratch)
    published = _published(attempt, task, dataset, trained, scores, version, judgement.verdict)
    move = settle(challenger, judgement, record.store, scratch)
    return finish(attempt.settings, record, published, move)


def _follow(attempt: Attempt) -> Result:
    """What ranks other than the first do: wait for the data set, train, and leave the rest to it."""
    settings, world = attempt.settings, attempt.world
    fingerprint = world.rendezvous.wait_for("dataset")
    folder = attempt.scratch / "dataset"

    def fetch() -> str:
        fetch_artifact(attempt.run.store, layout.dataset(settings.name, fingerprint), folder)
        return str(folder)

    dataset = encode.opened(Path(world.rendezvous.once_per_node("dataset", fetch)), fingerprint)
    task: Task = tasks.create(settings).restored(dataset.profile["task"])
    train(_train_context(attempt, task, dataset))
    return Result({})


def _train_context(attempt: Attempt, task: Task, dataset: Dataset) -> TrainContext:
    record = attempt.run
    workspace = Workspace(
        record.store,
        record.prefix,
        record.state.attempt,
        attempt.scratch,
        on_commit=lambda step: record.progressed("train", step),
        on_shrink=record.shrink,
    )
    return TrainContext(
        attempt.settings,
        task,
        _start_place(attempt, dataset),
        attempt.base.tokenizer,
        dataset,
        attempt.limits,
        workspace,
        attempt.stop,
        attempt.world,
    )


def _start_place(attempt: Attempt, dataset: Dataset) -> Place:
    """Where the weights are that training begins with: the base model's, or those of the champion that
    the data set was made to go on from."""
    predecessor = attempt.champion
    if predecessor is None or "champion" not in dataset.profile.get(prepare.START, {}):
        return attempt.base.place
    return shared_place("champion", lambda: predecessor.trained.base.place, attempt.world)


def _evaluated(attempt: Attempt, task: Task, dataset: Dataset, trained: TrainOutput) -> Scores:
    """The scores of the model as it will be published, loaded back from its files."""
    tokenizer, limits = attempt.base.tokenizer, attempt.limits
    event("loading the model as it will be published, to score it")
    inference = Inference.load(attempt.settings, trained.place, task, tokenizer, limits)
    scores = evaluate(inference, dataset, attempt.settings, attempt.scratch)
    attempt.run.progressed("evaluate")
    return scores


def _published(
    attempt: Attempt,
    task: Task,
    dataset: Dataset,
    trained: TrainOutput,
    scores: Scores,
    version: Version,
    verdict: Verdict,
) -> PublishedVersion:
    record, doubts = attempt.run, checks.doubts(attempt)
    provenance = Provenance.of(attempt, dataset, trained)
    found = results.eval_results(scores.results, trained, record) | task.signatures
    facts = results.card_facts(attempt, task, dataset, version, provenance)
    release = Release(
        version,
        trained.place,
        scores.predictions,
        found
        | {f"check_{each.name}": each.value for each in doubts}
        | {f"gate_{name}": value for name, value in verdict.facts().items()},
        replace(facts, gate=verdict.facts(), doubts=tuple(each.said for each in doubts)),
        merged_history(record.store, record.prefix),
        asdict(provenance),
    )
    return publish(release, task, dataset, record.store, attempt.scratch)
