"""The run, as a list: fetch, clean, encode, train, evaluate, publish."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job import models, runs, tasks
from job.artifacts import Dataset, Inputs, fingerprint
from job.errors import InputMissing, StoreUnreachable, Unreachable
from job.history import merged as merged_history
from job.models import Place
from job.reporting.card import Facts
from job.runs import Run
from job.runtime import StopSignal, scratch_folder
from job.scoring import Limits
from job.settings import Settings, relevant
from job.stages import encode
from job.stages.clean import clean
from job.stages.evaluate import evaluate
from job.stages.fetch import fetch, resolve_inputs
from job.stages.publish import Version, publish
from job.stages.train import Home, Trained, TrainSettings, train
from job.store import Store, open_store
from job.store.probe import probe_conditional_writes
from job.tasks.base import Padding, Task
from job.telemetry import event, quiet_libraries
from job.uris import join, mask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PACKAGES = ("finetune-job", "transformers", "torch", "accelerate", "tokenizers", "datasets", "peft")


@dataclass(frozen=True)
class Result:
    """How a run ended: facts for machines, lines for the person who started it."""

    facts: Mapping[str, Any]

    @property
    def lines(self) -> list[str]:
        """Where the model, the card and the scores are."""
        return [f"{name:<9} {value}" for name, value in self.facts.items()]


@dataclass(frozen=True)
class Model:
    """The model to fine-tune, as far as preparation needs it."""

    place: Place
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    labels: tuple[str, ...]


def run(settings: Settings, stop: StopSignal, *, prepare_only: bool = False) -> Result:
    """The whole run; with `prepare_only`, up to the encoded data set.

    Raises:
        JobError: every way in which a run can end badly; its exit code says which.
    """
    with scratch_folder(settings.runtime) as scratch:
        held, inputs = begin(settings)
        if held.finished:
            event("the run is finished already", run_id=held.state.run_id)
            return Result(held.state.result)
        held.begin_attempt(settings.runtime.max_stalled_attempts)
        event(
            "run",
            run_id=held.state.run_id,
            attempt=held.state.attempt,
            output=mask(settings.output),
        )
        quiet_libraries()
        model = find_model(settings, scratch)
        inputs = freeze(held, inputs, model)

        task, dataset = prepare(settings, held, inputs, model, scratch, stop)
        if prepare_only:
            return Result(
                {"dataset": join(held.store.uri, dataset_key(settings, dataset.fingerprint))}
            )

        limits = limits_of(settings, model)
        trained = train_stage(settings, held, task, model, dataset, limits, scratch, stop)
        scores = evaluate(
            settings.model,
            settings.runtime,
            task,
            trained.folder,
            dataset,
            limits,
            scratch,
            poll=stop.poll,
        )
        held.progressed("evaluate")
        version = Version.of(settings.name, held.state.run_id, held.state.attempt)
        results = results_of(scores.results, trained, held)
        publish(
            settings.publish,
            task,
            held.store,
            version,
            trained.folder,
            scores.predictions,
            dataset.folder / "examples.jsonl",
            results,
            facts_of(settings, held, inputs, task, model, dataset, trained, version),
            merged_history(held.store, held.prefix),
            scratch,
        )
        result = Result(summary(held.store, version, results))
        held.finish("done", result.facts)
        return result


# -- the steps of the list, in its order --------------------------------------------------------------


def begin(settings: Settings) -> tuple[Run, Inputs | None]:
    """Open the store and find the run or begin it.

    Raises:
        StoreUnreachable: before an attempt could be recorded, so that it is not counted as one.
    """
    try:
        store = open_store(settings.output)
        if not settings.store.single_writer:
            probe_conditional_writes(store)
        inputs = None if settings.run_id else resolve_inputs(settings.data)
        run_id = settings.run_id or runs.default_run_id(settings, inputs)
        return Run.open(store, settings.name, run_id, settings), inputs
    except Unreachable as error:
        raise StoreUnreachable(error.message, hint=error.hint) from error


def find_model(settings: Settings, scratch: Path) -> Model:
    """The model's files, its tokenizer and its limits."""
    place = models.find(settings.model.name, settings.model.revision, scratch)
    other = settings.model.tokenizer
    config = models.load_config(place, settings.model)
    tokenizer = models.load_tokenizer(
        models.find(other, None, scratch) if other else place, settings.model
    )
    length = models.max_length_of(config, tokenizer, settings.encode.max_length)
    return Model(place, tokenizer, length, models.label_names(config))


def freeze(held: Run, inputs: Inputs | None, model: Model) -> Inputs:
    """What the first attempt read; a model that has changed since is another input.

    Raises:
        InputMissing: the model is not the one that this run began with.
    """
    settings = held.settings
    identity = {"name": mask(model.place.name), "identity": model.place.identity}
    stored = held.frozen(
        "inputs.json",
        lambda: runs.inputs_to_json(inputs or resolve_inputs(settings.data), identity),
    )
    if stored["model"]["identity"] != model.place.identity:
        raise InputMissing(
            f"the model {mask(model.place.name)} has changed since this run began",
            hint="put the old files back, or give this run another FINETUNE_RUN_ID",
        )
    return runs.inputs_from_json(stored)


def dataset_key(settings: Settings, data_fingerprint: str) -> str:
    """Where a data set lies."""
    return f"{settings.name}/datasets/{data_fingerprint}"


def dataset_fingerprint(settings: Settings, inputs: Inputs, model: Model) -> str:
    """What decides the encoded rows: the data, what is done to it, and the tokenizer."""
    values = relevant(settings)
    sampled = settings.clean.sample or any(s.weight % 1 for s in settings.data.train)
    return fingerprint(
        [
            encode.ENCODE_VERSION,
            inputs.identities(),
            [values[section] for section in ("task", "data", "clean", "encode")],
            [settings.model.problem_type, model.labels, model.max_length],
            models.tokenizer_sha256(model.tokenizer),
            settings.seed if sampled else None,
        ]
    )


def prepare(
    settings: Settings, held: Run, inputs: Inputs, model: Model, scratch: Path, stop: StopSignal
) -> tuple[Task, Dataset]:
    """Fetch, clean and encode, or find that it was done before."""
    task: Task = tasks.create(settings)
    data_fingerprint = dataset_fingerprint(settings, inputs, model)
    key = dataset_key(settings, data_fingerprint)
    found = encode.find(held.store, key, scratch / "dataset")
    if found is not None:
        event("data set found in the store", fingerprint=data_fingerprint)
        held.progressed("encode")
        return task.restored(found.profile["task"]), found
    raw = fetch(settings.data, inputs, scratch / "fetched", poll=stop.poll)
    rows = clean(
        settings.clean, settings.data, settings.seed, task, raw, scratch / "cleaned", poll=stop.poll
    )
    encoder = encode.Encoder(model.tokenizer, model.max_length, model.labels)
    task, profile, files = encode.encode(rows, task, encoder, scratch / "dataset", poll=stop.poll)
    dataset = encode.publish(
        held.store, key, held.state.attempt, data_fingerprint, files, profile, scratch / "dataset"
    )
    for folder in ("fetched", "cleaned"):
        shutil.rmtree(scratch / folder, ignore_errors=True)
    held.progressed("encode")
    return task, dataset


def limits_of(settings: Settings, model: Model) -> Limits:
    """How large a micro-batch is and how it is padded."""
    fixed = model.max_length if settings.encode.padding == "max_length" else None
    padding = Padding(
        int(model.tokenizer.pad_token_id),
        multiple=settings.encode.pad_to_multiple_of,
        fixed=fixed,
        side=model.tokenizer.padding_side,
    )
    return Limits(settings.train.tokens_per_device, padding)


def train_stage(
    settings: Settings,
    held: Run,
    task: Task,
    model: Model,
    dataset: Dataset,
    limits: Limits,
    scratch: Path,
    stop: StopSignal,
) -> Trained:
    """Train, with this run's place for checkpoints."""
    sections = TrainSettings(
        settings.train,
        settings.model,
        settings.checkpoint,
        settings.evaluate,
        settings.runtime,
        settings.log,
        settings.seed,
    )
    home = Home(
        held.store,
        held.prefix,
        held.state.attempt,
        scratch,
        committed=lambda step: held.progressed("train", step),
    )
    return train(sections, task, model.place, model.tokenizer, dataset, limits, home, stop)


def results_of(scores: Mapping[str, float], trained: Trained, held: Run) -> dict[str, Any]:
    """eval_results.json: transformers' own names, flat."""
    state = trained.state
    return {
        **scores,
        "train_loss": state.loss_sum / max(1, state.step),
        "train_runtime": round(state.seconds, 3),
        "train_samples_per_second": round(state.rows / state.seconds, 3) if state.seconds else 0.0,
        "train_steps": state.step,
        "epoch": trained.epochs,
        "goodput": round(state.seconds / max(state.seconds, time.time() - held.state.began), 4),
    }


def facts_of(
    settings: Settings,
    held: Run,
    inputs: Inputs,
    task: Task,
    model: Model,
    dataset: Dataset,
    trained: Trained,
    version: Version,
) -> Facts:
    """What the card says."""
    return Facts(
        name=settings.name,
        task=task.name,
        run_id=held.state.run_id,
        version=version.name,
        uri=mask(join(held.store.uri, version.key)),
        base_model=mask(settings.model.name),
        base_is_hub_id=models.is_hub_id(settings.model.name),
        license=settings.publish.license,
        labels=tuple(task.facts.get("labels", ())),
        regression=task.facts.get("problem_type") == "regression",
        pairs="text_pair" in task.columns,
        profile=dataset.profile,
        files=tuple((i.split, mask(i.uri)) for i in inputs.files),
        fingerprint=dataset.fingerprint,
        settings=relevant(settings),
        max_length=model.max_length,
        steps=trained.state.step,
        best_step=trained.state.best_step,
        metric=trained.metric,
        versions={name: package_version(name) for name in PACKAGES},
    )


def summary(store: Store, version: Version, results: Mapping[str, Any]) -> dict[str, Any]:
    """Where the model, the card and the scores are, and the scores that matter."""
    place = join(store.uri, version.key)
    shown = ("test_accuracy", "test_f1", "test_pearson", "eval_accuracy", "eval_f1", "eval_pearson")
    scores = {name: round(results[name], 4) for name in shown if name in results}
    return {
        "model": mask(place),
        "card": mask(f"{place}/README.md"),
        "scores": mask(f"{place}/eval_results.json"),
        **scores,
    }
