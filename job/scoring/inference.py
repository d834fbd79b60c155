"""A model put to encoded rows: its outputs in the rows' order, and its losses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from job import models
from job.batching import Rows
from job.batching.limits import Limits
from job.data.arrow import MappedTable
from job.distributed.world import World
from job.models import Place
from job.runtime.device import has_gpu
from job.runtime.stop import poll
from job.settings.protocols import HasModel, HasRuntime
from job.tasks.base import Task
from job.tasks.types import FIXED, Outputs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Inference", "InferenceOutput"]


class InferenceSettings(HasModel, HasRuntime, Protocol):
    """The sections that loading a trained model reads."""


@dataclass(frozen=True)
class InferenceOutput:
    """What a model made of encoded rows, or of one rank's share of them."""

    outputs: Outputs
    """One array a row, in the rows' order; None for a row that another rank ran."""
    losses: dict[int, float]
    """The summed loss of each micro-batch, by its number."""

    def encode(self) -> bytes:
        """As safetensors, for another rank: an array a row that this one ran."""
        from safetensors.numpy import save

        arrays = {
            str(row): np.asarray(output, order="C")
            for row, output in enumerate(self.outputs)
            if output is not None
        }
        facts = {"rows": len(self.outputs), "losses": list(self.losses.items())}
        return save(arrays, metadata={"facts": json.dumps(facts)})

    @classmethod
    def decode(cls, encoded: bytes) -> InferenceOutput:
        """What another rank has encoded."""
        from safetensors.numpy import load

        length = int.from_bytes(encoded[:8], "little")
        facts = json.loads(json.loads(encoded[8 : 8 + length])["__metadata__"]["facts"])
        outputs: list[Any] = [None] * facts["rows"]
        for row, output in load(encoded).items():
            outputs[int(row)] = output
        return cls(outputs, dict(facts["losses"]))

    @classmethod
    def merged(cls, shares: list[InferenceOutput]) -> InferenceOutput:
        """The ranks' shares as one; each row's output is in one of them only."""
        rows = [
            next((output for output in outputs if output is not None), None)
            for outputs in zip(*(share.outputs for share in shares), strict=True)
        ]
        losses = {number: loss for share in shares for number, loss in share.losses.items()}
        return cls([np.empty(0) if output is None else output for output in rows], losses)

    def loss(self) -> float:
        """The sum over all rows."""
        # in the order of the micro-batches, whoever ran them: a sum depends on its order
        return sum(self.losses[number] for number in sorted(self.losses))


@dataclass(frozen=True)
class Inference:
    """A model and what it takes to put rows to it."""

    model: Any
    """On its device. Its training mode is restored after each call."""
    task: Task
    """Fitted."""
    tokenizer: PreTrainedTokenizerFast
    limits: Limits

    @classmethod
    def load(
        cls,
        settings: InferenceSettings,
        place: Place,
        task: Task,
        tokenizer: PreTrainedTokenizerFast,
        limits: Limits,
    ) -> Inference:
        """A model that has learned the task, loaded in float32 onto the device.

        Raises:
            DataError: the files are damaged.
            SettingsError: there is no head for the task among the weights.
        """
        model: Any = models.load(place, task, settings.model, trained=True)
        models.pad_as(model, tokenizer)
        model = model.to("cuda" if has_gpu(settings.runtime) else "cpu").eval()
        return cls(model, task, tokenizer, limits)

    def run(
        self, table: MappedTable, world: World | None = None, *, lockstep: bool = False
    ) -> InferenceOutput:
        """Run the model over the rows, longest first, in evaluation mode.

        Args:
            table: encoded rows.
            world: whose ranks share the micro-batches, each running its own; None runs all of them.
            lockstep: every rank runs the model equally often, over rows that do not count if it
                must, as a model needs whose parameters are sharded over the ranks.
        """
        rank, size = (world.rank, world.size) if world else (0, 1)
        batches = self.limits.batches(table)
        outputs: list[Any] = [None] * len(table)
        losses: dict[int, float] = {}
        with _evaluating(self.model):
            for first in range(0, len(batches), size):
                poll()  # a collective while training: by every rank, whether it has a batch or not
                number = first + rank
                if number >= len(batches) and not lockstep:
                    continue
                rows = batches[min(number, len(batches) - 1)]
                values, loss = self._predict(table, rows)
                if number < len(batches):
                    losses[number] = loss
                    for row, value in zip(rows.tolist(), values, strict=True):
                        outputs[row] = value
        return InferenceOutput(outputs, losses)

    def _predict(self, table: MappedTable, rows: Rows) -> tuple[Outputs, float]:
        device = self.model.device
        batch = self.task.collate(table, rows, self.limits.padding, FIXED)
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        return self.task.predict(self.model, batch)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients, and the mode before it afterwards."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)
