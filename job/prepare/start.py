"""What training begins from, which decides what of the rows it is given: the base model and all of them,
or the champion, the new ones and a part of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from job import models
from job.data.artifacts import CleanRows
from job.errors import DataError, InputMissing, SettingsError
from job.models.trained import TrainedModel
from job.runs.attempt import Attempt
from job.settings import Settings, recorded
from job.stages.clean import EVERYTHING, Replay
from job.stages.clean.splits import LEARNED
from job.tasks.base import Task
from job.telemetry import event, warn

START = "start"
"""Of a data set's profile: the `champion` that is gone on from, or why there is none."""


@dataclass(frozen=True)
class Start:
    """What training begins from."""

    champion: TrainedModel | None = None
    """None: the base model."""
    replay: Replay = EVERYTHING
    """What is trained on again of what the champion has learned from."""
