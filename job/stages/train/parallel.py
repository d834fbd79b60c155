"""The model and its optimizer in a world: whole on each rank (DDP), or a part on each (FSDP2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from accelerate import DistributedDataParallelKwargs

from job.distributed.world import World
from job.errors import JobError
from job.runtime.device import accelerator
from job.stages.train.context import TrainSettings
from job.stages.train.model import compiled
from job.stages.train.optimizer import adamw

if TYPE_CHECKING:
    import torch


class ParallelModel:
    """The model and its optimizer on this rank's device, and how the ranks keep them the same.

    It is made in two steps, `__init__` and `synchronize`: what must not be exchanged between the
    ranks, such as a trial of the largest micro-batch, happens in between.
    """

    def __init__(self, model: Any, precision: str, settings: TrainSettings, world: World) -> None:
        """
        Args:
            model: whole, on the CPU, the same on every rank.
            precision: what accelerate calls mixed precision: no, bf16 or fp16.
            world: joined.
        """
        self.accelerator = accelerator(precision, settings.runtime)
        if self.accelerator.num_processes != world.size:
            raise JobError(
                f"accelerate counts {self.accelerator.num_processes} processes of {world.size}"
            )
        self._world = world
        self.sharded = settings.train.strategy == "fsdp" and world.size > 1
        """Whether each rank holds a part of every parameter, so that all must run it equally often."""
        model = model.to(self.accelerator.device)
        self.model = _sharded(model, precision) if self.sharded else model
        """The plain module, which holds the parameters."""
        self.optimizer = adamw(self.model, settings.train)
        self.local = compiled(self.model, settings.train)
        """The module to run without an exchange of gradients, compiled where the settings say so."""
        self.synchronized = self.local
        """The module to run in a step: its backward passes exchange gradients."""
        self._accelerated: Any = self.optimizer

    @property
    def device(self) -> torch.device:
        """The one that this rank computes on."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def scaler_state(self) -> dict[str, Any] | None:
        """The state of fp16's loss scaling; None in other precisions."""
        scaler = self.accelerator.scaler
        return scaler.state_dict() if scaler else None

    def restore_scaler(self, state: Mapping[str, Any] | None) -> None:
        """Continue with a checkpoint's loss scaling."""
        if self.accelerator.scaler and state:
            self.accelerator.scaler.load_state_dict(dict(state))

    def synchronize(self, dummy_loss: Callable[[Any], torch.Tensor]) -> None:
        """Let steps exchange gradients from now on.

        Args:
            dummy_loss: computes a loss of zero with the module that it is given.
        """
        if self.sharded:
            return
        several = self._world.size > 1
        if several:
            unused = _has_unused(self.local, dummy_loss)
            handler = DistributedDataParallelKwargs(find_unused_parameters=unused)
            self.accelerator.ddp_handler = handler
        self.synchronized, self._accelerated = self.accelerator.prepare(self.local, self.optimizer)
        if several:
            self._settle(dummy_loss)

    def _settle(self, dummy_loss: Callable[[Any], torch.Tensor]) -> None:
        """Two passes with a loss of zero: after the first one DDP lays out its buckets again, and from
        then on sums in another order; a resumed run must start with the order that the whole one had."""
        for _ in range(2):
            self.backward(dummy_loss(self.synchronized))
            self.synchronized.zero_grad(set_to_none=True)

    def backward(self, loss: torch.Tensor) -> None:
        """Add a loss's gradients to those of the step."""
        self.accelerator.backward(loss)

    def gradient_sync(self, *, enabled: bool) -> AbstractContextManager[None]:
        """Whether backward passes within exchange gradients."""
        if self.sharded:
            self.synchronized.set_requires_gradient_sync(enabled)
            return nullcontext()
        return nullcontext() if enabled else self.accelerator.no_sync(self.synchronized)

    def update(self, learning_rate: float, max_grad_norm: float) -> torch.Tensor:
        """Take an optimizer step with the gradients, clipped; 0 clips nothing.

        Returns:
            The gradients' norm before they were clipped, a scalar.
        """
        parameters = self.synchronized.parameters()
        norm: Any = self.accelerator.clip_grad_norm_(parameters, max_grad_norm or math.inf)
        for group in self._accelerated.param_groups:
            group["lr"] = learning_rate
        self._accelerated.step()
        self.drop_gradients()
        whole: torch.Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        return whole

    def drop_gradients(self) -> None:
        """Forget the gradients."""
        self._accelerated.zero_grad(set_to_none=True)

    def total(self, value: torch.Tensor) -> float:
        """The sum of the ranks' scalars; a collective."""
        several = self.accelerator.num_processes > 1
        return float(self.accelerator.reduce(value, "sum")) if several else float(value)


def _sharded(model: Any, precision: str) -> Any:
    """Parameters split over the ranks, block by block (torch's fully_shard, in place).

    torch's own is used, and not accelerate's plugin, which without a GPU quietly trains with DDP.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    size = torch.distributed.get_world_size()
    device = next(model.parameters()).device.type
    mesh = init_device_mesh(device, (size,))
    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    # a layer of the stack, by the names that transformers has for such classes
    names = set(getattr(model, "_no_split_modules", None) or ())
    for module in list(model.modules()):
        if type(module).__name__ in names:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    return fully_shard(model, mesh=mesh, mp_policy=policy)


def _has_unused(model: torch.nn.Module, dummy_loss: Callable[[Any], torch.Tensor]) -> bool:
    """Whether parameters that are trained have no part in the loss; DDP must know."""
    dummy_loss(model).backward()
    unused = any(p.requires_grad and p.grad is None for p in model.parameters())
    model.zero_grad(set_to_none=True)
    return unused
