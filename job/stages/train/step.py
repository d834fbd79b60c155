"""The step: rows to gradients to new weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from accelerate import DistributedDataParallelKwargs

from job.batching.limits import Limits
from job.batching.steps import Rows
from job.data.arrow import MappedTable
from job.data.artifacts import FILE, LINE
from job.distributed.world import World
from job.errors import Diverged, PeerLost, is_out_of_memory
from job.runtime.device import seed_everything
from job.stages.train.memory import fitting, free, halved
from job.stages.train.plan import Plan
from job.stages.train.sharding import dummy_loss, has_unused, settle
from job.tasks.base import Task
from job.telemetry import warn

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
        world: World,
        *,
        split: bool,
        shrunk: Callable[[int], None],
    ) -> None:
        """
        Args:
            model: on its device; with `split` its parameters are dealt out to the ranks already.
            shrunk: told of a smaller limit, where this world cannot go on with it.
        """
        self.accelerator, self.world, self.split = accelerator, world, split
        self.task, self.table, self.plan, self.limits, self.seed = task, table, plan, limits, seed
        self.tokens, self._shrunk = limits.tokens, shrunk
        self._pending: list[tuple[int, torch.Tensor, torch.Tensor]] = []
        self.model: Any
        dummy = partial(
            dummy_loss, task=task, table=table, limits=limits, device=accelerator.device
        )
        if (
            accelerator.device.type == "cuda"
        ):  # a CPU's memory is not that scarce, a pass not that cheap
            self.tokens = world.smallest(
                fitting(self.tokens, plan, limits, partial(self._try, model))
                if not split
                else self.tokens
            )
        if split:
            self.scored: Any = model
            self.model, self.optimizer = model, optimizer
            return
        self.scored = model
        if world.size > 1:
            unused = has_unused(model, partial(dummy, model))
            accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=unused)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        if world.size > 1:
            settle(accelerator, self.model, partial(dummy, self.model))

    def step(self, number: int) -> int:
        """Run step `number` (from 0); returns how many rows it had.

        Raises:
            OutOfMemory: one row does not fit.
            PeerLost: in a world of several a micro-batch does not fit; the next attempt makes them
                smaller.
        """
        rows = self.plan.rows(number)
        while True:
            try:
                total = self._passes(rows, number)
                break
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self.optimizer.zero_grad(set_to_none=True)
                self.tokens = halved(self.tokens, self.plan, error)
                if self.world.size > 1:
                    self._shrunk(self.tokens)
                    raise PeerLost("out of memory; all begin anew with smaller ones") from error
            free()
        norm: Any = self.accelerator.clip_grad_norm_(
            self.model.parameters(), self.plan.settings.max_grad_norm or math.inf
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate(number)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        self._pending.append((number, total / self.world.size, norm))
        return len(rows)

    def _passes(self, rows: Rows, number: int) -> Any:
        """Forward and backward over this rank's part; returns its loss, as DDP averages it."""
        plan, world = self.plan, self.world
        mine = plan.shares(rows, world.size, self.tokens)[world.rank]
        # DDP averages gradients over the ranks; the loss is a mean over the whole step's rows
        scale = world.size / plan.denominator(rows, number)
        total: Any = 0.0
        for i, micro in enumerate(mine.micro_batches):
            seed_everything(self.seed, number, world.rank, i)
            with self._sync(last=i == len(mine.micro_batches) - 1):
                loss = self._loss(self.model, micro, plan.epoch(number)) * scale
                self.accelerator.backward(loss)
            total = total + loss.detach()
        return total

    def _loss(self, model: Any, rows: Rows, epoch: int) -> torch.Tensor:
        batch = self.task.collate(self.table, rows, self.limits.padding, epoch)
        batch = {k: v.to(self.accelerator.device, non_blocking=True) for k, v in batch.items()}
        return self.task.loss(self.task.forward(model, batch), batch)

    def _try(self, model: Any, rows: Rows) -> None:
        """A micro-batch there and back, for its memory alone."""
        try:
            with self.accelerator.autocast():
                self._loss(model, rows, 0).backward()
        finally:
            model.zero_grad(set_to_none=True)

    def _sync(self, *, last: bool) -> Any:
        """Gradients are exchanged in the last micro-batch of a step alone."""
        if self.split:
            self.model.set_requires_gradient_sync(last)
            return nullcontext()
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
                self._say_rows(number)
                raise Diverged(
                    f"step {number + 1}: the loss is {value} and the gradient norm {float(norm)}; "
                    "the rows of the step are in the log"
                )
        self._pending.clear()
        return found

    def _say_rows(self, number: int) -> None:
        """Where a step's rows came from, for whoever must find the one that is wrong."""
        rows = self.plan.rows(number)
        places = {
            name: self.table.column(name)[rows].tolist()
            for name in (FILE, LINE)
            if name in self.table.names
        }
        warn("rows of the step", step=number + 1, rows=rows.tolist(), **places)


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
