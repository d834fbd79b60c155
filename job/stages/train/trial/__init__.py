"""One batch tried before training: what in config, tokenizer and weights does not fit together is found
in seconds, on a CPU, before a GPU is asked for or an hour of training is lost.

A model of more than WHOLE parameters is tried by its first layers (`job.models.layers`), and one of
which even these have more than MOST is not run: its files and its tokenizer are compared only. Never
are two models in memory at once.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

from job import models
from job.errors import JobError, SettingsError
from job.models import Place
from job.runtime.device import is_out_of_memory
from job.settings import Model, Publish, Train
from job.stages.train.context import StartingPoint, StartSettings
from job.stages.train.trial.passes import check_passes
from job.stages.train.trial.sample import Sample
from job.stages.train.trial.tokenizer import check_tokenizer
from job.telemetry import event
from job.text import one_line

__all__ = ["Sample", "Trial", "try_out"]

WHOLE = 50_000_000
MOST = 2_000_000_000


@dataclass(frozen=True)
class Trial:
    """What a trial that found nothing wrong has tried."""

    rows: int
    seconds: float
    whole: bool
    """Whether the model ran with all of its layers."""
    ran: bool = True
    """Whether it was small enough to run at all."""


@dataclass(frozen=True)
class _OnCpu:
    """The settings that a trial reads, with attention that a CPU can compute."""

    model: Model
    publish: Publish
    train: Train
    seed: int

    @classmethod
    def of(cls, settings: StartSettings) -> _OnCpu:
        model = settings.model
        if model.attention == "flash_attention_2":
            model = model.model_copy(update={"attention": "auto"})
        return cls(model, settings.publish, settings.train, settings.seed)


def try_out(start: StartingPoint, sample: Sample, scratch: Path) -> Trial:
    """Try the model with a few rows: padded against single ones, forward, backward, a step, saved,
    loaded, and text through the saved tokenizer.

    Raises:
        SettingsError: something gives two answers where there must be one; with both.
        DataError: the model's files are damaged.
    """
    began = time.monotonic()
    start = StartingPoint(_OnCpu.of(start.settings), start.task, start.place, start.tokenizer)
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="trial-", dir=scratch))
    try:
        with _refused(start.place):
            check_tokenizer(start, sample, folder / "tokenizer")
            tried = _affordable(start, folder / "layers")
            if tried is not None:
                check_passes(tried, sample, folder / "model")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = round(time.monotonic() - began, 2)
    trial = Trial(len(sample.rows), seconds, tried is start, ran=tried is not None)
    event("trial batch passed", rows=trial.rows, seconds=seconds, whole=trial.whole, ran=trial.ran)
    return trial


def _affordable(start: StartingPoint, folder: Path) -> StartingPoint | None:
    """The model, or its first layers where it is large; None where those are too large as well, or
    where the model brings its own code, which alone knows its layers."""
    config = models.load_config(start.place, start.settings.model)
    if getattr(config, "auto_map", None):
        return start if models.stored_count(start.place) <= WHOLE else None
    if models.parameter_count(config, start.task) <= WHOLE:
        return start
    place = models.first_layers(start.place, start.settings.model, folder)
    config = models.load_config(place, start.settings.model)
    small = models.parameter_count(config, start.task) <= MOST
    return replace(start, place=place) if small else None


@contextmanager
def _refused(place: Place) -> Iterator[None]:
    """What a model fails with in a trial, it would fail with in training."""
    try:
        yield
    except JobError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise SettingsError(
            f"the model in {place.name} fails with a first batch ({type(error).__name__}: {one_line(error)})",
            hint="its config, its weights and its tokenizer do not fit together, or not this task",
        ) from error
