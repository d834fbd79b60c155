"""The settings tree: typed, frozen, each value with its origin. Imports no heavy library."""

from job.settings.load import Loaded, load, recorded, relevant
from job.settings.sections.checks import Checks
from job.settings.sections.data import Clean, Columns, Data, Encode
from job.settings.sections.launch import Launch, Metrics, Progress
from job.settings.sections.predict import Predict
from job.settings.sections.runtime import Runtime
from job.settings.sections.training import (
    Checkpoint,
    Evaluate,
    Generation,
    Lora,
    Model,
    Publish,
    Train,
)
from job.settings.tree import Settings

__all__ = [
    "Checkpoint",
    "Checks",
    "Clean",
    "Columns",
    "Data",
    "Encode",
    "Evaluate",
    "Generation",
    "Launch",
    "Loaded",
    "Lora",
    "Metrics",
    "Model",
    "Predict",
    "Progress",
    "Publish",
    "Runtime",
    "Settings",
    "Train",
    "load",
    "recorded",
    "relevant",
]
