"""The model in a world: whole on each rank (DDP), or a part on each (FSDP2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from job.batching.limits import Limits
from job.data.arrow import MappedTable
from job.tasks.base import Task
from job.tasks.values import FIXED

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

NOTHING = np.empty(0, dtype=np.int64)


def sharded(model: Any, precision: str) -> Any:
    """Parameters dealt out to the ranks, block by block (torch's fully_shard, in place).

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
    # a layer of the stack, by the names that transformers gives such classes
    names = set(getattr(model, "_no_split_modules", None) or ())
    for module in list(model.modules()):
        if type(module).__name__ in names:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    return fully_shard(model, mesh=mesh, mp_policy=policy)


def has_unused(model: torch.nn.Module, loss: Any) -> bool:
    """Whether parameters that learn have no part in the loss; DDP must know.

    Args:
        loss: a function that computes it over a dummy.
    """
    loss().backward()
    found = any(p.requires_grad and p.grad is None for p in model.parameters())
    model.zero_grad(set_to_none=True)
    return found


def dummy_loss(model: Any, task: Task, table: MappedTable, limits: Limits, device: Any) -> Any:
    """A loss of zero over a row of weight 0, as a micro-batch that only keeps a rank in step has it."""
    batch = task.collate(table, NOTHING, limits.padding, FIXED + 1)
    batch = {name: value.to(device) for name, value in batch.items()}
    return task.loss(task.forward(model, batch), batch) * 0.0


def settle(handle: Accelerator, model: Any, loss: Any) -> None:
    """Two passes with a loss of zero: DDP lays out its buckets anew after the first one, and sums
    in another order from then on; a resumed run must begin with the order that the whole one had."""
    for _ in range(2):
        handle.backward(loss())
        model.zero_grad(set_to_none=True)
