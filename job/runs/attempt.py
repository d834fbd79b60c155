"""What an attempt has in hand before its first stage: the store, the run, what it reads, the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job import models
from job.batching.limits import Limits
from job.data.artifacts import Inputs, inputs_from_json, inputs_to_json
from job.distributed.world import World
from job.errors import InputMissing, Torn, before_recording
from job.models.base import Base, _base, _place, _places, find_base
from job.models.reading import quiet_libraries
from job.runs.identity import default_run_id
from job.runs.record import Run
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.store import Store, open_store
from job.store.probe import probe_conditional_writes
from job.telemetry import milestone

if TYPE_CHECKING:
    pass


INPUTS = "inputs.json"


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
    with before_recording():
        store = probed(settings)
        if settings.run_id:
            return Run.open(store, settings.name, settings.run_id, settings), None
        inputs = resolve_inputs(settings.data)
        run_id = default_run_id(settings, inputs)
        return Run.open(store, settings.name, run_id, settings), inputs


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
    with before_recording():
        run.begin_attempt(settings.runtime.max_stalled_attempts)
    state = run.state
    milestone(
        "Started",
        "run",
        run_id=state.run_id,
        attempt=state.attempt,
        output=str(settings.output),
    )
    before = run.stored(INPUTS)
    if before is None:
        inputs = inputs or resolve_inputs(settings.data)  # before a model is fetched for nothing
    quiet_libraries()
    base = find_base(settings, scratch, _commit_of(before))
    identity = {
        "name": base.place.name,
        "identity": base.place.identity,
        "tokenizer": models.tokenizer_sha256(base.tokenizer),
    }
    if before is None and inputs is not None:
        before = inputs_to_json(inputs, identity)
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
    return Attempt(settings, run, inputs_from_json(before), base, scratch, stop, world)


def follow(settings: Settings, scratch: Path, stop: StopSignal, world: World) -> Attempt:
    """The attempt that the first rank has begun, as the other ranks see it.

    Raises:
        PeerLost: the first rank is gone, or was not found in time.
    """
    quiet_libraries()
    told = world.hear("attempt")
    store = open_store(settings.output, single_writer=settings.store.single_writer)
    run = Run.follow(store, settings.name, told["run_id"], settings, told["attempt"])
    before = run.stored(INPUTS)
    if before is None:
        raise Torn(f"{store.uri}/{run.key(INPUTS)} is not there yet", hint="try again")

    def find() -> list[dict[str, Any]]:
        return _places(find_base(settings, scratch, _commit_of(before)))

    places = [_place(found) for found in world.here("base", find)]
    tokenizer = models.load_tokenizer(places[1], settings.model)
    config = models.load_config(places[0], settings.model)
    base = _base(places[0], places[1], config, tokenizer, settings)
    return Attempt(settings, run, inputs_from_json(before), base, scratch, stop, world)


def _commit_of(before: Mapping[str, Any] | None) -> str | None:
    """The Hub commit that the first attempt read; a branch may have moved since."""
    kind, _, commit = str(before["model"]["identity"]).partition(":") if before else ("", "", "")
    return commit if kind == "hub" else None
