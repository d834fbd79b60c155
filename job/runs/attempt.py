"""What an attempt has in hand before its first stage: the store, the run, what it reads, the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from job import models
from job.batching.limits import Limits
from job.data.artifacts import Frozen, Inputs
from job.distributed.world import World
from job.errors import InputMissing, StoreError, StoreUnreachable, Torn, Unreachable
from job.models.base import Base, find_base, shared_base
from job.models.quiet_imports import transformers
from job.registry import champion
from job.runs import identity
from job.runs.predecessor import Predecessor
from job.runs.record import Run
from job.runtime.stop import StopSignal
from job.settings import Settings
from job.stages.fetch import resolve_inputs
from job.store import Store, layout, open_store
from job.store.probe import probe_conditional_writes
from job.telemetry import event, figures, milestone
from job.uris import Uri


@dataclass(frozen=True)
class Attempt:
    """One try at a run, recorded in the store."""

    settings: Settings
    run: Run
    frozen: Frozen
    base: Base
    scratch: Path
    stop: StopSignal
    world: World

    @property
    def inputs(self) -> Inputs:
        """The files that the run reads."""
        return self.frozen.inputs

    @cached_property
    def champion(self) -> Predecessor | None:
        """The version that was in use when the run began."""
        version = self.frozen.champion
        if version is None:
            return None
        return Predecessor(self.settings, self.run.store, version, self.scratch)

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
    _sweep(store, settings.name, superseded=False)
    return store


@contextmanager
def before_recording() -> Iterator[None]:
    """A store that does not answer within has kept an attempt from being recorded.

    Raises:
        StoreUnreachable: in place of Unreachable.
    """
    try:
        yield
    except Unreachable as error:
        raise StoreUnreachable.of(error) from error


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
        inputs = _named(settings)
        run_id = identity.run_id(settings, inputs)
        return Run.open(store, settings.name, run_id, settings), inputs


def _named(settings: Settings) -> Inputs:
    """The inputs that give a run its name.

    Raises:
        InputMissing: one is gone; a run that has read it may still be named.
    """
    try:
        return resolve_inputs(settings.data)
    except InputMissing as error:
        hint = (
            "a run that has read it already goes on without it, if FINETUNE_RUN_ID names that run"
        )
        raise InputMissing(error.message, hint=f"{error.hint}; {hint}") from error


def announce(run: Run, output: str) -> None:
    """Say that an attempt has begun. What earlier ones were killed over is swept up: none of them may
    still write."""
    figures(status="running")
    state = run.state
    milestone("Started", "run", run_id=state.run_id, attempt=state.attempt, output=output)
    _sweep(run.store, run.prefix, superseded=True)


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
    base, frozen = _frozen(settings, run, inputs, scratch)
    told = {"run_id": run.state.run_id, "attempt": run.state.attempt}
    world.rendezvous.publish("attempt", told)
    base.share(world)
    return Attempt(settings, run, frozen, base, scratch, stop, world)


def _sweep(store: Store, prefix: str, *, superseded: bool) -> None:
    with suppress(StoreError):  # it is garbage, and not every store lets it be listed
        if count := store.sweep(prefix, superseded=superseded):
            event("removed what killed writers have left", below=prefix, count=count)


def _frozen(
    settings: Settings, run: Run, inputs: Inputs | None, scratch: Path
) -> tuple[Base, Frozen]:
    """The model, and what the run reads as its first attempt found it; this one may be the first.

    Raises:
        InputMissing: the model or the tokenizer is not the one that this run began with.
        Torn: what was frozen is damaged, and is not the beginning of what would be frozen now.
    """
    before, damaged = None, None
    try:
        before = run.frozen()
    except Torn as error:
        damaged = error
    if before is None:
        inputs = inputs or resolve_inputs(settings.data)  # before a model is fetched for nothing
    base = find_base(_as_begun(settings, before), scratch, _commit_of(before))
    model = {
        "name": base.place.name,
        "identity": base.place.identity,
        "tokenizer": models.tokenizer_sha256(base.tokenizer),
    }
    if settings.model.tokenizer and settings.model.tokenizer.of_champion:
        model["tokenizer_name"] = base.tokenizer_place.name
    if before is None and inputs is not None:
        in_use, _ = champion.read(run.store, settings.name)
        before = Frozen(inputs.files, model, tuple(in_use.gate), in_use.version)
        run.freeze(before, damaged)
    elif before is not None and before.model != model:
        raise InputMissing(
            f"the model or the tokenizer of {model['name']} has changed since this run began",
            hint="put the old files back, or give this run another FINETUNE_RUN_ID",
        )
    assert before is not None
    return base, before


def follow(settings: Settings, scratch: Path, stop: StopSignal, world: World) -> Attempt:
    """The attempt that the first rank has begun, as the other ranks see it.

    Raises:
        PeerLost: the first rank is gone, or was not found in time.
    """
    transformers()  # it takes seconds to import: now, while the first rank looks at its inputs
    told = world.rendezvous.wait_for("attempt")
    store = open_store(settings.output, single_writer=settings.store.single_writer)
    run = Run.follow(store, settings.name, told["run_id"], settings, told["attempt"])
    before = run.frozen()
    if before is None:
        raise Torn(f"{store.uri}/{run.key(layout.INPUTS)} is not there yet", hint="try again")
    base = shared_base(_as_begun(settings, before), scratch, _commit_of(before), world)
    return Attempt(settings, run, before, base, scratch, stop, world)


def _as_begun(settings: Settings, before: Frozen | None) -> Settings:
    """The settings, with the versions that the run began with where they name a champion: to promote
    another one changes nothing for it."""
    if before is None:
        return settings
    began = {"name": before.model["name"], "tokenizer": before.model.get("tokenizer_name")}
    versions = {
        field: Uri(name)
        for field, name in began.items()
        if name and (place := getattr(settings.model, field)) and place.of_champion
    }
    return settings.model_copy(update={"model": settings.model.model_copy(update=versions)})


def _commit_of(before: Frozen | None) -> str | None:
    """The Hub commit that the first attempt read; a branch may have moved since."""
    kind, _, commit = before.model.get("identity", "").partition(":") if before else ("", "", "")
    return commit if kind == "hub" else None
