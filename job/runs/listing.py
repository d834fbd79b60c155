"""The runs that a store holds, as people ask for them."""

from __future__ import annotations

import math
from typing import Any

from job.errors import Absent, InputMissing, SettingsError, Torn
from job.runs.record import State
from job.settings import Settings
from job.store import Store, layout, open_store
from job.store.records import read_json

SHOWN = (layout.STATE, layout.WAITING)
"""What `states` reads of a run."""


def states(settings: Settings) -> list[dict[str, Any]]:
    """The state of the run that the settings name, or of every run of this model, oldest first; with
    `waiting` where its launcher saw that it waits in a queue, which may be before there is any state, and
    `damaged`, an error, where one of the two cannot be understood.

    Raises:
        InputMissing: there is none.
    """
    if not settings.output:
        raise SettingsError(
            "FINETUNE_OUTPUT is not set", hint="name the s3://bucket/prefix or folder of the run"
        )
    store = open_store(settings.output, single_writer=settings.store.single_writer)
    whole, run_id = layout.runs(settings.name), settings.run_id
    prefix = f"{layout.run(settings.name, run_id) if run_id else whole}/"
    found: dict[str, dict[str, Any]] = {}
    for item in store.list(prefix):
        name, run = item.key.rpartition("/")[2], layout.run_id_of(settings.name, item.key)
        if item.key == f"{layout.run(settings.name, run)}/{name}":
            state = found.setdefault(run, {"run_id": run}) if name in SHOWN else {}
            try:
                if name == layout.STATE:
                    state.update(read_json(store, item.key))
                    State.of(state, f"{store.uri}/{item.key}")
                elif name == layout.WAITING:
                    state["waiting"] = read_json(store, item.key)
            except Torn as error:
                state["damaged"] = error
    if not found:
        raise InputMissing(
            f"{store.uri}/{prefix}: no run there",
            hint="check FINETUNE_OUTPUT, FINETUNE_NAME and FINETUNE_RUN_ID; a run that waits in a queue "
            "has not written anything yet: `kubectl get workloads` (Kueue) or podgroups (Volcano) says why",
        )
    return sorted(found.values(), key=_began)


def _began(state: dict[str, Any]) -> float:
    """For an order by when they began: what has not, or does not say, comes last."""
    began = state.get("began")
    return began if isinstance(began, (int, float)) and began else math.inf


def runs_of(store: Store, model: str, base: str) -> set[str]:
    """The ids of a model's runs that begin with `base`."""
    return {layout.run_id_of(model, o.key) for o in store.list(layout.run(model, base))}


def state_of(store: Store, model: str, run_id: str) -> State | None:
    """A run's state; None before its first attempt."""
    key = f"{layout.run(model, run_id)}/{layout.STATE}"
    try:
        return State.of(read_json(store, key), f"{store.uri}/{key}")
    except Absent:
        return None
