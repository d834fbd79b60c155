"""What an attempt has in hand before its first stage: the store, the run, what it reads, the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job import models, tasks
from job.batching.padding import Padding
from job.data.artifacts import Inputs
from job.distributed.world import World
from job.errors import InputMissing, StoreUnreachable, Torn, Unreachable
from job.models import Place
from job.runs import record as runs
from job.runs.record import Run
from job.runtime.device import StopSignal
from job.scoring import Limits
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.store import Store, open_store
from job.store.probe import probe_conditional_writes
from job.telemetry import milestone, quiet_libraries
from job.uris import mask

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast


INPUTS = "inputs.json"


@dataclass(frozen=True)
class Base:
    """The model to fine-tune, as far as preparation needs it."""

    place: Place
    words: Place
    """Where the tokenizer is."""
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    labels: tuple[str, ...]

    def limits(self, settings: Settings) -> Limits:
        """How large a micro-batch is and how it is padded."""
        encode, tokenizer = settings.encode, self.tokenizer
        padding = Padding(
            int(tokenizer.pad_token_id),
            multiple=encode.pad_to_multiple_of,
            fixed=self.max_length if encode.padding == "max_length" else None,
            side=tokenizer.padding_side,
        )
        return Limits(settings.train.tokens_per_device, padding)


@dataclass(frozen=True)
class Attempt:
    """One try at a run, recorded in the store."""

    settings: Settings
    run: Run
    inputs: Inputs
    base: Base
    scratch: Path
    stop: StopSignal
    world: World

    @property
    def limits(self) -> Limits:
        """How large a micro-batch is and how it is padded."""
        limits = self.base.limits(self.settings)
        return replace(limits, tokens=self.run.fitting(limits.tokens))


def probed(settings: Settings) -> Store:
    """The output's store, found to keep its word about conditional writes."""
    store = open_store(settings.output, single_writer=settings.store.single_writer)
    if not settings.store.single_writer:
        probe_conditional_writes(store, f"{settings.name}/runs")
    return store


def find_run(settings: Settings) -> tuple[Run, Inputs | None]:
    """Open the store and find the run, or begin it.

    Returns:
        The run, and what it reads where that had to be looked up to name the run.

    Raises:
        StoreUnreachable: before an attempt could be recorded, so that it is not counted as one.
    """
    try:
        store = probed(settings)
        if settings.run_id:
            return Run.open(store, settings.name, settings.run_id, settings), None
        inputs = resolve_inputs(settings.data)
        run_id = runs.default_run_id(settings, inputs)
        return Run.open(store, settings.name, run_id, settings), inputs
    except Unreachable as error:
        raise StoreUnreachable(error.message, hint=error.hint) from error


def begin(
    settings: Settings,
    run: Run,
    inputs: Inputs | None,
    scratch: Path,
    stop: StopSignal,
    world: World,
) -> Attempt:
    """Record the attempt, then look at what could kill it: the inputs and the model.

    Raises:
        StoreUnreachable: before the attempt was recorded.
        InputMissing: the model or the tokenizer is not the one that this run began with.
    """
    try:
        run.begin_attempt(settings.runtime.max_stalled_attempts)
    except Unreachable as error:
        raise StoreUnreachable(error.message, hint=error.hint) from error
    state = run.state
    milestone(
        "Started",
        "run",
        run_id=state.run_id,
        attempt=state.attempt,
        output=mask(settings.output),
    )
    before = run.stored(INPUTS)
    if before is None:
        inputs = inputs or resolve_inputs(settings.data)  # before a model is fetched for nothing
    quiet_libraries()
    base = find_base(settings, scratch, _commit_of(before))
    identity = {
        "name": mask(base.place.name),
        "identity": base.place.identity,
        "tokenizer": models.tokenizer_sha256(base.tokenizer),
    }
    if before is None and inputs is not None:
        before = runs.inputs_to_json(inputs, identity)
        run.freeze(INPUTS, before)
    elif before is not None and before["model"] != identity:
        raise InputMissing(
            f"the model or the tokenizer of {identity['name']} has changed since this run began",
            hint="put the old files back, or give this run another FINETUNE_RUN_ID",
        )
    assert before is not None
    world.tell("attempt", {"run_id": state.run_id, "attempt": state.attempt})
    if world.processes > 1:
        world.tell(f"base/{world.node}", _places(base))
    return Attempt(settings, run, runs.inputs_from_json(before), base, scratch, stop, world)


def follow(settings: Settings, scratch: Path, stop: StopSignal, world: World) -> Attempt:
    """The attempt that the first rank has begun, as the other ranks see it.

    Raises:
        PeerLost: the first rank is gone, or was not found in time.
    """
    quiet_libraries()
    told = world.hear("attempt", stop.poll)
    store = open_store(settings.output, single_writer=settings.store.single_writer)
    run = Run.follow(store, settings.name, told["run_id"], settings, told["attempt"])
    before = run.stored(INPUTS)
    if before is None:
        raise Torn(f"{mask(store.uri)}/{run.key(INPUTS)} is not there yet", hint="try again")

    def find() -> list[dict[str, Any]]:
        return _places(find_base(settings, scratch, _commit_of(before)))

    places = [_place(found) for found in world.here("base", find, stop.poll)]
    tokenizer = models.load_tokenizer(places[1], settings.model)
    config = models.load_config(places[0], settings.model)
    base = _base(places[0], places[1], config, tokenizer, settings)
    return Attempt(settings, run, runs.inputs_from_json(before), base, scratch, stop, world)


def _places(base: Base) -> list[dict[str, Any]]:
    """Where the model and the tokenizer lie on this pod's disk, as JSON."""
    return [
        {k: str(v) if isinstance(v, Path) else v for k, v in vars(place).items()}
        for place in (base.place, base.words)
    ]


def _place(value: dict[str, Any]) -> Place:
    folders = {name: Path(value[name]) for name in ("folder", "base") if value[name]}
    return Place(**{**value, **folders})


def _commit_of(before: Mapping[str, Any] | None) -> str | None:
    """The Hub commit that the first attempt read; a branch may have moved since."""
    kind, _, commit = str(before["model"]["identity"]).partition(":") if before else ("", "", "")
    return commit if kind == "hub" else None


def find_base(settings: Settings, scratch: Path, commit: str | None = None) -> Base:
    """The model's files, its tokenizer and its limits; or a config to make one from.

    Args:
        commit: of the Hub, in place of the revision in the settings.
    """
    model = settings.model
    if model.config is None:
        place = models.find(
            model.name, commit or model.revision, scratch, code=model.trust_remote_code
        )
        return base_in(place, settings, scratch)
    words = models.find(str(model.tokenizer), None, scratch)
    tokenizer = models.load_tokenizer(words, model)
    place = models.from_config(model.config, models.vocabulary_of(tokenizer), scratch)
    return _base(place, words, models.load_config(place, model), tokenizer, settings)


def base_in(place: Place, settings: Settings, scratch: Path) -> Base:
    """The model in a place, with its own tokenizer or the one that the settings name."""
    model = settings.model
    other = models.find(model.tokenizer, None, scratch) if model.tokenizer else place
    models.check_weights(place)
    config = models.load_config(place, model)
    return _base(place, other, config, models.load_tokenizer(other, model), settings)


def _base(
    place: Place,
    words: Place,
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerFast,
    settings: Settings,
) -> Base:
    task, encode = tasks.create(settings), settings.encode
    models.check_fits(config, task, place)
    task.configure_tokenizer(tokenizer)
    length = models.max_length_of(config, tokenizer, encode.max_length, task.longest)
    if encode.max_target_length:
        setting = "FINETUNE_ENCODE__MAX_TARGET_LENGTH"
        models.max_length_of(config, tokenizer, encode.max_target_length, setting=setting)
    return Base(place, words, config, tokenizer, length, models.label_names(config))
