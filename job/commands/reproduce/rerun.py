"""The run that trains a version again: its inputs, settings and circumstances, in a store of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from job import supervisor
from job.commands import TRAINING
from job.commands.reproduce.original import Original
from job.data.artifacts import KEYS, LEARNED
from job.environment import OURS
from job.errors import Absent, InputMissing, SettingsError
from job.registry import champion as registry
from job.registry import versions
from job.registry.lineage import write_known
from job.settings import Settings, load
from job.settings.sources import variable
from job.settings.tree import CONFIG_VARIABLE
from job.store import layout, open_store
from job.store.commit import Manifest, commit, fetch
from job.telemetry import event
from job.uris import Uri

NEVER = 1e9
"""Seconds between two checkpoints: nobody resumes this run."""
MASKED = "***"
"""What stands for a secret in a record."""


class Rerun:
    """A run on the scratch disk that finds what the first attempt at the version's own run found."""

    def __init__(self, original: Original, settings: Settings, scratch: Path) -> None:
        """
        Args:
            settings: those of this command: where it may work, and the secrets that no record keeps.
        """
        self._original, self._given, self._scratch = original, settings, scratch
        self._store = open_store(str(scratch / "store"))

    def train(self) -> tuple[int, dict[str, Any]]:
        """Run it to the end; its exit code and its outcome.

        Raises:
            SettingsError: the version's settings are not this release's, or lack a secret; or it was
                trained with more GPUs than there are.
            InputMissing: a part of the gate is gone, or the champion that the version went on from.
            Torn: one of them is damaged.
        """
        original = self._original
        computed = original.provenance.computed_with[-1]
        _check_devices(computed)
        settings = self._loaded(computed)
        self._copy_gate()
        self._copy_champion()
        run = layout.run(original.model, original.run_id)
        self._store.put(f"{run}/{layout.INPUTS}", original.provenance.inputs.json())
        self._store.put(layout.token_limit(run, computed["tokens"]), b"")
        event("training the version again", version=original.version.name, place=self._store.uri)
        return supervisor.supervise("run", [], settings.runtime, distributed=True)

    def published(self) -> Original:
        """The version that the run has published."""
        original = self._original
        (version,) = versions.of_run(self._store, original.model, original.run_id)
        return Original.find(self._store, original.model, version.name)

    def _copy_gate(self) -> None:
        """Copy the rows that were held back from the version.

        Raises:
            InputMissing: a part of them is gone.
        """
        original = self._original
        registry.opened(self._store, original.model)
        for part in original.provenance.inputs.gate:
            self._copy(layout.gate(original.model, part), "its rows were held back from")

    def _copy_champion(self) -> None:
        """Copy the champion that training went on from, and what it is known to have learned from.

        Raises:
            InputMissing: it is gone.
        """
        original, champion = self._original, self._original.provenance.inputs.champion
        goes_on = original.document(layout.SETTINGS)["train"].get("from") == "champion"
        if champion is None or not goes_on:
            return
        key = layout.version(original.model, champion)
        manifest = self._copy(key, "it is the champion that training went on from for")
        if LEARNED in original.manifest.files:
            folder = original.fetched(self._scratch / "learned", [LEARNED])
            write_known(folder / LEARNED, folder)
            files = {name: folder / name for name in (KEYS, layout.PROFILE)}
            rows = layout.dataset(original.model, str(manifest.meta["dataset"]))
            commit(self._store, rows, files, attempt=None, meta={})

    def _copy(self, key: str, why: str) -> Manifest:
        """Copy an artifact of the output's.

        Args:
            why: what it is to the version, for the error.

        Raises:
            InputMissing: it is gone.
            Torn: it is damaged.
        """
        original, folder = self._original, self._scratch / "copied" / key
        try:
            manifest = fetch(original.store, key, folder)
        except Absent:
            raise InputMissing(
                f"{original.store.uri}/{key} no longer exists: {why} {original.version.name}, which cannot "
                "be made again without it",
                hint="put it back from an earlier version of the bucket",
            ) from None
        files = {name: folder / name for name in manifest.files}
        return commit(self._store, key, files, attempt=None, meta=manifest.meta)

    def _loaded(self, computed: Mapping[str, Any]) -> Settings:
        """The run's settings, which its workers read from the environment.

        Args:
            computed: what the version's steps were computed with.
        """
        file = self._scratch / "settings.json"
        file.write_text(json.dumps(self._settings(computed)))
        for name in [name for name in os.environ if name.startswith(OURS)]:
            del os.environ[name]
        os.environ.pop("MKL_NUM_THREADS", None)  # it would count for more than the next one
        os.environ |= {CONFIG_VARIABLE: str(file), "OMP_NUM_THREADS": str(computed["threads"])}
        try:
            return load(os.environ, rules=TRAINING).settings
        except SettingsError as error:
            raise SettingsError(
                f"the settings of {self._original.version.name} are not settings of this release: "
                f"{error.message}",
                hint=f"reproduce it with finetune-job {computed['finetune-job']}, which made it",
            ) from None

    def _settings(self, computed: Mapping[str, Any]) -> dict[str, Any]:
        """All of them, as JSON: what decides what is learned is the version's, the rest is this place's."""
        given, original = self._given, self._original
        runtime = given.runtime.model_dump(mode="json", exclude={"peer_token", "node", "address"})
        device = "cpu" if computed["device"] == "cpu" else given.runtime.device
        one_pod = {"nodes": 1, "processes": computed["world"], "env": "none", "device": device}
        return {
            **unmasked(original.document(layout.SETTINGS), given),
            "output": self._store.uri.secret,
            "run_id": original.run_id,
            "publish": {"merge": original.provenance.merge, "gate": "always"},
            "checkpoint": {"every_seconds": NEVER},
            "checks": {"action": "off"},
            "runtime": {**runtime, **one_pod, "scratch": str(self._scratch)},
            "log": given.log.model_dump(mode="json"),
        }


def unmasked(recorded: dict[str, Any], given: Settings) -> dict[str, Any]:
    """A version's settings, with the secrets of this command's where these are otherwise the same.

    Args:
        recorded: as settings.json holds them, without secrets.

    Raises:
        SettingsError: a secret is not known.
    """
    masked = given.model_dump(mode="json")
    whole = {**recorded}
    for section, fields in recorded.items():
        for name, value in fields.items() if isinstance(fields, dict) else ():
            if MASKED not in json.dumps(value):
                continue
            if value != masked[section][name]:
                raise SettingsError(
                    f"{variable((section, name))} was given with a secret, which no record keeps: {value}",
                    hint="set it as it was when the version was trained",
                )
            secret = _with_secrets(getattr(getattr(given, section), name))
            whole[section] = {**whole[section], name: secret}
    return whole


def _with_secrets(value: Any) -> Any:
    """A setting as JSON, nothing masked."""
    if isinstance(value, Uri):
        return value.secret
    if isinstance(value, BaseModel):
        return {name: _with_secrets(each) for name, each in value}
    if isinstance(value, dict):
        return {name: _with_secrets(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_secrets(each) for each in value]
    return value


def _check_devices(computed: Mapping[str, Any]) -> None:
    """
    Raises:
        SettingsError: there are fewer GPUs than processes that need one.
    """
    if computed["device"] == "cpu":
        return
    import torch

    here = torch.cuda.device_count()
    if 0 < here < computed["world"]:
        raise SettingsError(
            f"the version was trained by {computed['world']} processes with a GPU each, and here are {here}",
            hint="reproduce it where there are as many",
        )
