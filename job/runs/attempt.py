"""What an attempt has in hand before its first stage: the store, the run, what it reads, the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from job import models
from job.batching.limits import Limits
from job.data.artifacts import Inputs, inputs_from_json, inputs_to_json
from job.distributed.world import World
from job.errors import InputMissing, Torn, before_recording
from job.models.base import Base, find_base, shared_base
from job.models.quiet_imports import transformers
from job.runs import identity
from job.runs.record import Run
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.store import Store, layout, open_store
from job.store.probe import probe_conditional_writes
from job.telemetry import figures, milestone


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
        probe_conditional_writes(store, layout.runs(settings.name))
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
        run_id = identity.run_id(settings, inputs)
        return Run.open(store, settings.name, run_id, settings), inputs


def begin(
    settings: Settings,
    run: Run,
    inputs: Inputs | None,
    scratch: Path,
    stop: StopSignal,
    world: World,
) -> Attempt:
    """Look at what could kill the attempt that has been recorded: the inputs and the model.

    Raises:
        InputMissing: the model or the tokenizer is not the one that this run began with.
    """
    state = run.state
    figures(status="running")
    milestone(
        "Started",
        "run",
        run_id=state.run_id,
        attempt=state.attempt,
        output=str(settings.output),
    )
    base, frozen = _frozen(settings, run, inputs, scratch)
    world.rendezvous.publish("attempt", {"run_id": state.run_id, "attempt": state.attempt})
    base.share(world)
    return Attempt(settings, run, frozen, base, scratch, stop, world)


def _frozen(
    settings: Settings, run: Run, inputs: Inputs | None, scratch: Path
) -> tuple[Base, Inputs]:
    """The model and the inputs as the run's first attempt found them; this one may be the first.

    Raises:
        InputMissing: the model or the tokenizer is not the one that this run began with.
    """
    before = run.stored(layout.INPUTS)
    if before is None:
        inputs = inputs or resolve_inputs(settings.data)  # before a model is fetched for nothing
    base = find_base(settings, scratch, _commit_of(before))
    model = {
        "name": base.place.name,
        "identity": base.place.identity,
        "tokenizer": models.tokenizer_sha256(base.tokenizer),
    }
    if before is None and inputs is not None:
        before = inputs_to_json(inputs, model)
        run.freeze(layout.INPUTS, before)
    elif before is not None and before["model"] != model:
        raise InputMissing(
            f"the model or the tokenizer of {model['name']} has changed since this run began",
            hint="put the old files back, or give this run another FINETUNE_RUN_ID",
        )
    assert before is not None
    return base, inputs_from_json(before)


def follow(settings: Settings, scratch: Path, stop: StopSignal, world: World) -> Attempt:
    """The attempt that the first rank has begun, as the other ranks see it.

    Raises:
        PeerLost: the first rank is gone, or was not found in time.
    """
    transformers()  # it takes seconds to import: now, while the first rank looks at its inputs
    told = world.rendezvous.wait_for("attempt")
    store = open_store(settings.output, single_writer=settings.store.single_writer)
    run = Run.follow(store, settings.name, told["run_id"], settings, told["attempt"])
    before = run.stored(layout.INPUTS)
    if before is None:
        raise Torn(f"{store.uri}/{run.key(layout.INPUTS)} is not there yet", hint="try again")
    base = shared_base(settings, scratch, _commit_of(before), world)
    return Attempt(settings, run, inputs_from_json(before), base, scratch, stop, world)


def _commit_of(before: Mapping[str, Any] | None) -> str | None:
    """The Hub commit that the first attempt read; a branch may have moved since."""
    kind, _, commit = str(before["model"]["identity"]).partition(":") if before else ("", "", "")
    return commit if kind == "hub" else None
