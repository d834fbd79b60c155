"""A model that has learned its task: a version of ours or the Hub's, to be scored or to predict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job import models, tasks
from job.data.artifacts import Inputs, fingerprint
from job.errors import SettingsError
from job.models import Place
from job.models.base import Base, base_in
from job.models.reading import quiet_libraries
from job.settings import Settings, relevant
from job.tasks.base import Task

INHERITED = {
    "data": ("tag_scheme",),
    "clean": ("unescape_html", "lowercase", "normalize_unicode", "strip"),
    "encode": (
        *("max_length", "stride", "label_all_pieces", "max_target_length"),
        *("prefix", "source_language", "target_language"),
    ),
    "model": ("problem_type",),
    "evaluate": ("n_best", "max_answer_tokens", "no_answer_threshold", "generation"),
}
"""Settings that a version of ours was trained with and that hold for it unless others are given."""


@dataclass(frozen=True)
class Learned:
    """The model, and how texts are put to it."""

    settings: Settings
    base: Base
    task: Task
    """Not fitted: `Task.learned` does that."""

    def identity(self, inputs: Inputs, *sections: str) -> str:
        """What decides what the model makes of these inputs: 16 hex digits."""
        values = relevant(self.settings)
        return fingerprint(
            [
                inputs.identities(),
                self.base.place.identity,
                models.tokenizer_sha256(self.base.tokenizer),
                self.base.max_length,
                [values.get(name) for name in ("task", "data", "clean", "encode", *sections)],
            ]
        )


def find_learned(settings: Settings, scratch: Path) -> Learned:
    """The model that FINETUNE_MODEL__NAME names.

    Raises:
        InputMissing: it does not exist.
        SettingsError: it was trained for another task.
    """
    quiet_libraries()
    model = settings.model
    place = models.find(model.name, model.revision, scratch, code=model.trust_remote_code)
    settings = as_trained(settings, place)
    return Learned(settings, base_in(place, settings, scratch), tasks.create(settings))


def as_trained(settings: Settings, place: Place) -> Settings:
    """The settings, completed by those that a version of ours carries in its settings.json.

    Raises:
        SettingsError: the version was trained for another task.
    """
    recorded = _recorded(place.folder / "settings.json")
    if (task := recorded.get("task", settings.task)) != settings.task:
        raise SettingsError(
            f"{place.name} was trained for {task}, and FINETUNE_TASK is {settings.task}",
            hint=f"set FINETUNE_TASK={task}",
        )
    sections = {}
    for name, fields in INHERITED.items():
        section = getattr(settings, name)
        there = {k: v for k, v in dict(recorded.get(name, {})).items() if k in fields}
        theirs = type(section).model_validate(there)
        taken = {k: getattr(theirs, k) for k in there if k not in section.model_fields_set}
        sections[name] = section.model_copy(update=taken)
    return settings.model_copy(update=sections)


def _recorded(path: Path) -> Mapping[str, Any]:
    """A run's settings; a file of somebody else's that has this name says nothing."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        if isinstance(found, dict) and {"task", "encode", "clean"} <= found.keys():
            return found
    return {}
