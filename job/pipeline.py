"""The run, as a list: fetch, clean, encode, train, evaluate, publish."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from job import prepare as preparation
from job import tasks
from job.data.artifacts import Dataset
from job.distributed.world import World
from job.errors import (
    JobError,
    PeerLost,
    Stopped,
    StoreError,
    StoreUnreachable,
    Unreachable,
)
from job.monitors import reporting
from job.registry import versions
from job.registry.versions import Version
from job.runs import results
from job.runs.attempt import Attempt, begin, find_run, follow
from job.runs.fence import fenced
from job.runs.record import Run
from job.runs.results import Result
from job.runtime.scratch import scratch_folder
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages import encode
from job.stages.evaluate import Scores, evaluate
from job.stages.publish import Published, publish, push, read_back
from job.stages.train import Given, Home, Trained, TrainSettings, train
from job.stages.train.history import merged
from job.store.commit import fetch as fetch_artifact
from job.tasks.base import Task
from job.telemetry import event, figures, milestone


def run(settings: Settings, stop: StopSignal) -> Result:
    """The whole run.

    Raises:
        JobError: every way in which a run can end badly; its exit code says which.
    """
    return _attempted(settings, stop, _train_and_publish)


def prepare(settings: Settings, stop: StopSignal) -> Result:
    """The run up to its encoded data set, for a pod without a GPU.

    Raises:
        JobError: as `run`.
    """
    return _attempted(settings, stop, _prepare)


def _attempted(settings: Settings, stop: StopSignal, work: Callable[[Attempt], Result]) -> Result:
    """An attempt at the run: begun, reported, fenced, and its end recorded."""
    world = World(settings.runtime)
    with scratch_folder(settings.runtime) as scratch:
        if not world.first:
            return _follow(follow(settings, scratch, stop, world))
        held, inputs = find_run(settings)
        if held.finished:
            event("the run is finished already", run_id=held.state.run_id)
            return Result(held.state.result)
        number = held.state.attempt + 1
        with reporting(settings, held.store, held.prefix, number, stop):
            try:
                attempt = begin(settings, held, inputs, scratch, stop, world)
                with fenced(held):
                    return work(attempt)
            except JobError as error:
                with suppress(StoreError):  # how it ended is what matters
                    _record(held, world, error)
                raise


def _record(run: Run, world: World, error: JobError) -> None:
    """Leave in the run's state how an attempt ended, unless it was the store that did not answer."""
    if isinstance(error, (Unreachable, StoreUnreachable)):
        return
    if isinstance(error, Stopped):
        run.stopped()
    elif isinstance(error, PeerLost):
        if not world.formed:
            run.unformed()
    else:
        milestone("RunFailed", "failed", error=str(error), exit_code=error.exit_code)
        run.failed(error)


def _prepare(attempt: Attempt) -> Result:
    _, dataset = preparation.dataset(attempt)
    store, name = attempt.run.store, attempt.settings.name
    key = f"{name}/datasets/{dataset.fingerprint}"
    return Result({"dataset": str(store.uri / key)})


def _train_and_publish(attempt: Attempt) -> Result:
    """The stages in their order."""
    run = attempt.run
    if version := versions.find(run.store, attempt.settings.name, run.state.run_id):
        event("published already", version=version.name)
        return _finished(attempt, read_back(run.store, version, attempt.scratch))
    task, dataset = preparation.dataset(attempt)
    attempt.world.tell("dataset", dataset.fingerprint)
    _tell_folder(attempt, dataset)
    trained = train(_given(attempt, task, dataset))
    scores = _evaluated(attempt, task, dataset, trained)
    return _finished(attempt, _published(attempt, task, dataset, trained, scores))


def _finished(attempt: Attempt, published: Published) -> Result:
    """The last of it: the outcome in the run's state, and the files on the Hub where that is wanted."""
    scores = json.loads((published.folder / "eval_results.json").read_text())
    result = Result(results.summary(attempt.run.store, published.version.key, scores))
    figures(**result.facts)
    attempt.run.finish("done", result.facts)
    if repo := attempt.settings.publish.hub_repo:
        push(repo, published.folder)
    return result


def outcome(settings: Settings, stop: StopSignal) -> Result:
    """Whether the run has ended well: what a pod asks that comes when the others are gone."""
    return Result({"finished": find_run(settings)[0].finished})


def _tell_folder(attempt: Attempt, dataset: Dataset) -> None:
    if attempt.world.processes > 1:
        attempt.world.tell(f"dataset/{attempt.world.node}", str(dataset.folder))


def _follow(attempt: Attempt) -> Result:
    """What ranks other than the first do: wait for the data set, train, and leave the rest to it."""
    settings, world = attempt.settings, attempt.world
    fingerprint = world.hear("dataset")
    folder = attempt.scratch / "dataset"

    def fetch() -> str:
        key = f"{settings.name}/datasets/{fingerprint}"
        fetch_artifact(attempt.run.store, key, folder)
        return str(folder)

    dataset = encode.opened(Path(world.here("dataset", fetch)), fingerprint)
    task: Task = tasks.create(settings).restored(dataset.profile["task"])
    train(_given(attempt, task, dataset))
    return Result({})


def _given(attempt: Attempt, task: Task, dataset: Dataset) -> Given:
    settings, run = attempt.settings, attempt.run
    sections = TrainSettings(
        settings.train,
        settings.model,
        settings.checkpoint,
        settings.evaluate,
        settings.runtime,
        settings.log,
        settings.seed,
        settings.publish.merge,
    )
    home = Home(
        run.store,
        run.prefix,
        run.state.attempt,
        attempt.scratch,
        committed=lambda step: run.progressed("train", step),
        shrunk=run.shrink,
    )
    base = attempt.base
    return Given(
        sections,
        task,
        base.place,
        base.tokenizer,
        dataset,
        attempt.limits,
        home,
        attempt.stop,
        attempt.world,
    )


def _evaluated(attempt: Attempt, task: Task, dataset: Dataset, trained: Trained) -> Scores:
    settings = attempt.settings
    scores = evaluate(
        settings.model,
        settings.runtime,
        task,
        attempt.base.tokenizer,
        trained.place,
        dataset,
        attempt.limits,
        attempt.scratch,
    )
    attempt.run.progressed("evaluate")
    return scores


def _published(
    attempt: Attempt, task: Task, dataset: Dataset, trained: Trained, scores: Scores
) -> Published:
    run = attempt.run
    version = Version.of(attempt.settings.name, run.state.run_id, run.state.attempt)
    return publish(
        task,
        run.store,
        version,
        trained.place,
        scores.predictions,
        dataset,
        results.figures(scores.results, trained, run) | task.signatures,
        results.facts(attempt, task, dataset, trained, version.name, version.key),
        merged(run.store, run.prefix),
        attempt.scratch,
    )
