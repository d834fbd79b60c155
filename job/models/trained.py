"""A model that has learned its task, ours or the Hub's, to be scored or to predict with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job import models, tasks
from job.errors import SettingsError
from job.models import Place
from job.models.base import Base, open_base
from job.models.damage import readable
from job.settings import Settings, Train
from job.settings.sections.base import Section
from job.settings.tree import INHERITED
from job.store import layout
from job.tasks.base import Task
from job.uris import Uri


@dataclass(frozen=True)
class TrainedModel:
    """A model that has learned its task, and the settings by which rows are put to it."""

    settings: Settings
    base: Base
    task: Task
    """Not fitted yet: `Task.learned` does that."""


def find_trained(settings: Settings, scratch: Path) -> TrainedModel:
    """The model that FINETUNE_MODEL__NAME names, fetched where it is not on this disk; the settings
    that it comes with name a champion's version.

    Raises:
        InputMissing: it does not exist.
        SettingsError: it was trained for another task.
    """
    model = models.in_use(settings.model)
    settings = settings.model_copy(update={"model": model})
    place = models.find(model.name, model.revision, scratch, code=model.trust_remote_code)
    settings = _inherited(settings, place)
    return TrainedModel(settings, open_base(place, settings, scratch), tasks.create(settings))


def find_version(settings: Settings, version: Uri, scratch: Path) -> TrainedModel:
    """A version of ours, as it was published, for a run whose settings name the model that it starts from.

    Raises:
        InputMissing: it does not exist.
        DataError, SettingsError: see `as_published`; or its files are damaged.
    """
    place = models.find(version, None, scratch)
    settings = as_published(settings, place)
    return TrainedModel(settings, open_base(place, settings, scratch), tasks.create(settings))


def as_published(settings: Settings, place: Place) -> Settings:
    """Settings by which rows are put to a published model as it was trained to read them: what its own
    settings.json says counts, whatever the run of another model was given.

    Args:
        settings: of that run; its task, its columns and its machine hold.

    Raises:
        SettingsError: the model was trained for another task.
        DataError: its settings.json is damaged.
    """
    alone = {"tokenizer": None, "lora": None, "config": None}  # its folder holds all of it
    train = Train(tokens_per_device=settings.train.tokens_per_device)
    model = settings.model.model_copy(update=alone)
    settings = settings.model_copy(update={"train": train, "model": model})
    if not (place.folder / layout.SETTINGS).is_file():
        return settings
    unset = {name: _without(getattr(settings, name), own) for name, own in INHERITED.items()}
    return _inherited(settings.model_copy(update=unset), place)


def _without(section: Section, names: tuple[str, ...]) -> Section:
    """A section in which some settings were given no value."""
    given = section.model_fields_set.difference(names)
    return type(section)(**{name: getattr(section, name) for name in given})


def _inherited(settings: Settings, place: Place) -> Settings:
    """The settings, completed by those that a version of ours carries in its settings.json.

    Raises:
        SettingsError: the version was trained for another task.
        DataError: its settings.json is damaged.
    """
    recorded = recorded_in(place)
    if (task := recorded.get("task", settings.task)) != settings.task:
        raise SettingsError(
            f"{place.name} was trained for {task}, and FINETUNE_TASK is {settings.task}",
            hint=f"set FINETUNE_TASK={task}",
        )
    sections = {}
    for name, fields in INHERITED.items():
        section = getattr(settings, name)
        with readable(layout.SETTINGS, place):
            values = {k: v for k, v in dict(recorded.get(name, {})).items() if k in fields}
            original = type(section).model_validate(values)
        unset = {k: getattr(original, k) for k in values if k not in section.model_fields_set}
        sections[name] = section.model_copy(update=unset)
    return settings.model_copy(update=sections)


def recorded_in(place: Place) -> Mapping[str, Any]:
    """The settings that a version of ours was trained by; none where it is somebody else's model."""
    path = place.folder / layout.SETTINGS
    with suppress(OSError, ValueError, RecursionError):
        settings = json.loads(path.read_text())
        if isinstance(settings, dict) and {"task", "encode", "clean"} <= settings.keys():
            return settings
    return {}
