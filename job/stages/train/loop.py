"""The step: rows to gradients to new weights."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from job.errors import Diverged
from job.runtime import seed_everything
from job.scoring import Limits
from job.stages.train.plan import Plan
from job.tables import MappedTable
from job.tasks.base import Task

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator


class Stepper:
    """Runs optimizer steps; holds the model, the optimizer and what was measured.

    Losses are read from the device a few steps late, so that a GPU need not wait for the log.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        task: Task,
        table: MappedTable,
        plan: Plan,
        limits: Limits,
        seed: int,
    ) -> None:
        self.accelerator = accelerator
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.task, self.table, self.plan, self.limits, self.seed = task, table, plan, limits, seed
        self._pending: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    def step(self, number: int) -> int:
        """Run step `number` (from 0); returns how many rows it had."""
        plan, world = self.plan, self.accelerator.num_processes
        rows = plan.rows(number)
        mine = plan.shares(rows, world, self.limits.tokens)[self.accelerator.process_index]
        # DDP averages gradients over the ranks; the loss is a mean over the whole step's rows
        scale = world / plan.denominator(rows, number)
        total: Any = 0.0
        for i, micro in enumerate(mine.micro_batches):
            seed_everything(self.seed, number, self.accelerator.process_index, i)
            batch = self.task.collate(self.table, micro, self.limits.padding, plan.epoch(number))
            batch = {k: v.to(self.accelerator.device, non_blocking=True) for k, v in batch.items()}
            last = i == len(mine.micro_batches) - 1
            with self._sync(last):
                loss = self.task.loss(self.task.forward(self.model, batch), batch) * scale
                self.accelerator.backward(loss)
            total = total + loss.detach()
        norm = self.accelerator.clip_grad_norm_(
            self.model.parameters(), plan.settings.max_grad_norm or math.inf
        )
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate(number)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._pending.append((number, total / world, norm))
        return len(rows)

    def _sync(self, last: bool) -> Any:
        from contextlib import nullcontext

        return nullcontext() if last else self.accelerator.no_sync(self.model)

    def measured(self) -> list[dict[str, float]]:
        """Step, loss and gradient norm of the steps since the last call.

        Raises:
            Diverged: one of them is not finite.
        """
        found = []
        for number, loss, norm in self._pending:
            value = (
                float(self.accelerator.reduce(loss, "sum"))
                if self.accelerator.num_processes > 1
                else float(loss)
            )
            found.append({"step": number + 1, "loss": value, "grad_norm": float(norm)})
            if not math.isfinite(value) or not (
                math.isfinite(float(norm)) or self.accelerator.scaler
            ):
                rows = self.plan.rows(number)
                raise Diverged(
                    f"step {number + 1}: the loss is {value} and the gradient norm {float(norm)} "
                    f"(rows {', '.join(map(str, rows[:8].tolist()))} …)"
                )
        self._pending.clear()
        return found


class Clock:
    """Seconds and rows spent in steps, over all attempts of a run."""

    def __init__(self, seconds: float, rows: int) -> None:
        self.seconds, self.rows = seconds, rows
        self._since = time.monotonic()

    def start(self) -> None:
        """Steps begin now."""
        self._since = time.monotonic()

    def stop(self, rows: int) -> None:
        """Steps over so many rows ended now."""
        self.seconds += time.monotonic() - self._since
        self.rows += rows
        self._since = time.monotonic()
