"""One section each, read-only: who reads some says which by their names, and Settings fulfils them."""

from __future__ import annotations

from typing import Protocol

from job.settings.sections.checks import Checks
from job.settings.sections.data import Clean, Data, Encode
from job.settings.sections.runtime import Runtime
from job.settings.sections.training import Checkpoint, Evaluate, Model, Publish, Train
from job.settings.tree import Log


class HasCheckpoint(Protocol):
    """FINETUNE_CHECKPOINT__…."""

    @property
    def checkpoint(self) -> Checkpoint: ...


class HasChecks(Protocol):
    """FINETUNE_CHECKS__…."""

    @property
    def checks(self) -> Checks: ...


class HasClean(Protocol):
    """FINETUNE_CLEAN__…."""

    @property
    def clean(self) -> Clean: ...


class HasData(Protocol):
    """FINETUNE_DATA__…."""

    @property
    def data(self) -> Data: ...


class HasEncode(Protocol):
    """FINETUNE_ENCODE__…."""

    @property
    def encode(self) -> Encode: ...


class HasEvaluate(Protocol):
    """FINETUNE_EVALUATE__…."""

    @property
    def evaluate(self) -> Evaluate: ...


class HasLog(Protocol):
    """FINETUNE_LOG__…."""

    @property
    def log(self) -> Log: ...


class HasModel(Protocol):
    """FINETUNE_MODEL__…."""

    @property
    def model(self) -> Model: ...


class HasPublish(Protocol):
    """FINETUNE_PUBLISH__…."""

    @property
    def publish(self) -> Publish: ...


class HasRuntime(Protocol):
    """FINETUNE_RUNTIME__…."""

    @property
    def runtime(self) -> Runtime: ...


class HasSeed(Protocol):
    """FINETUNE_SEED."""

    @property
    def seed(self) -> int: ...


class HasTrain(Protocol):
    """FINETUNE_TRAIN__…."""

    @property
    def train(self) -> Train: ...
