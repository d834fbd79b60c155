"""The step: rows to gradients to new weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from job.batching import Rows
from job.data.arrow import MappedTable
from job.data.artifacts import FILE, LINE
from job.errors import Diverged, PeerLost
from job.runtime.device import is_out_of_memory, seed_everything
from job.stages.train.context import TrainContext
from job.stages.train.memory import TokenBudget, free
from job.stages.train.parallel import ParallelModel
from job.stages.train.plan import Plan
from job.telemetry import warn

if TYPE_CHECKING:
    import torch

NOTHING = np.empty(0, dtype=np.int64)


class Stepper:
    """Runs optimizer steps, and keeps what they measured until it is asked for.

    Losses are read from the device a few steps late, so that a GPU need not wait for the log.
    """

    def __init__(
        self, context: TrainContext, parallel: ParallelModel, table: MappedTable, plan: Plan
    ) -> None:
        """Find out how large micro-batches can be, and let the ranks exchange gradients from then on.

        Args:
            parallel: not synchronized yet.
            table: the encoded training rows.

        Raises:
            OutOfMemory: one row does not fit.
        """
        self.parallel, self.plan = parallel, plan
        self._task, self._padding = context.task, context.limits.padding
        self._table, self._seed = table, context.settings.seed
        self._world, self._on_shrink = context.world, context.workspace.on_shrink
        self._pending: list[tuple[int, torch.Tensor, torch.Tensor]] = []
        self.budget = TokenBudget(context.limits.tokens, plan)
        # a CPU's memory is not that scarce, and a pass not that cheap
        if parallel.device.type == "cuda":
            if not parallel.sharded:
                self.budget.fit(self._trial)
            self.budget.tokens = self._world.smallest(self.budget.tokens)
        parallel.synchronize(self._dummy_loss)

    def step(self, number: int) -> int:
        """Run step `number` (from 0); returns how many rows it had.

        Raises:
            OutOfMemory: one row does not fit.
            PeerLost: a micro-batch does not fit, and the world has several ranks; the next attempt
                makes them smaller.
        """
        rows, plan = self.plan.rows(number), self.plan
        while True:
            try:
                loss = self._passes(rows, number)
                break
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self.parallel.drop_gradients()
                self.budget.halve(error)
                if self._world.size > 1:
                    self._on_shrink(self.budget.tokens)
                    raise PeerLost("out of memory; all ranks start again") from error
            free()
        norm = self.parallel.update(plan.learning_rate(number), plan.settings.max_grad_norm)
        self._pending.append((number, loss / self._world.size, norm))
        return len(rows)

    def _passes(self, rows: Rows, number: int) -> Any:
        """Forward and backward over this rank's part of a step; returns its loss, as DDP averages it."""
        plan, world = self.plan, self._world
        share = plan.shares(rows, world.size, self.budget.tokens)[world.rank]
        # DDP averages gradients over the ranks; the loss is a mean over the whole step's rows
        scale = world.size / plan.denominator(rows, number)
        epoch, last = plan.epoch(number), len(share.micro_batches) - 1
        total: Any = 0.0
        for i, micro_batch in enumerate(share.micro_batches):
            seed_everything(self._seed, number, world.rank, i)
            with self.parallel.gradient_sync(enabled=i == last):
                loss = self._loss(self.parallel.synchronized, micro_batch, epoch) * scale
                self.parallel.backward(loss)
            total = total + loss.detach()
        return total

    def _loss(self, model: Any, rows: Rows, epoch: int) -> torch.Tensor:
        """The summed loss over rows, a scalar."""
        batch = self._task.collate(self._table, rows, self._padding, epoch)
        device = self.parallel.device
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        return self._task.loss(self._task.forward(model, batch), batch)

    def _dummy_loss(self, model: Any) -> torch.Tensor:
        """Zero, over a row of weight 0, as in a micro-batch that only keeps a rank in step."""
        return self._loss(model, NOTHING, 0) * 0.0

    def _trial(self, rows: Rows) -> None:
        """Forward and backward over one micro-batch, only to see whether it fits in memory."""
        model = self.parallel.local
        try:
            with self.parallel.accelerator.autocast():
                self._loss(model, rows, 0).backward()
        finally:
            model.zero_grad(set_to_none=True)

    def measured(self) -> list[dict[str, float]]:
        """Step, loss and gradient norm of the steps since the last call; a collective.

        Raises:
            Diverged: one of them is not finite.
        """
        measured = []
        for number, share, norm_tensor in self._pending:
            loss, norm = self.parallel.total(share), float(norm_tensor)
            measured.append({"step": number + 1, "loss": loss, "grad_norm": norm})
            # fp16's loss scaling skips a step whose gradients are not finite
            scaled = bool(self.parallel.accelerator.scaler)
            if not math.isfinite(loss) or not (math.isfinite(norm) or scaled):
                self._log_rows(number)
                raise Diverged(
                    f"step {number + 1}: the loss is {loss} and the gradient norm {norm}; "
                    "the rows of the step are in the log"
                )
        self._pending.clear()
        return measured

    def _log_rows(self, number: int) -> None:
        """Log where a step's rows came from, so that the one that is wrong can be found."""
        rows = self.plan.rows(number)
        origin = {
            name: self._table.column(name)[rows].tolist()
            for name in (FILE, LINE)
            if name in self._table.names
        }
        warn("rows of the step", step=number + 1, rows=rows.tolist(), **origin)
