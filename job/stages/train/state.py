"""The tensors of training by name, out of the model and the optimizer and back into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from job.errors import DataError

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]


def model_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What training changes: the parameters that learn, and buffers that are saved."""
    kept = model.state_dict(keep_vars=True).keys()
    tensors: dict[str, torch.Tensor] = {
        name: p for name, p in model.named_parameters() if p.requires_grad
    }
    tensors.update({name: b for name, b in model.named_buffers() if name in kept})
    return tensors


def optimizer_tensors(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Every parameter's optimizer state, as `name/exp_avg` and so on."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_model_tensors(model: torch.nn.Module, tensors: Tensors) -> None:
    """Copy saved values into the model.

    Raises:
        DataError: the names or shapes are not this model's.
    """
    import torch

    own = model_tensors(model)
    if own.keys() != tensors.keys():
        raise DataError(
            f"the checkpoint is another model's ({len(own.keys() ^ tensors.keys())} tensors differ)",
            hint="give this run another FINETUNE_RUN_ID",
        )
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)


def load_optimizer_tensors(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: Tensors
) -> None:
    """Put saved optimizer state in place, on each parameter's own device."""
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        name, _, part = key.rpartition("/")
        parameter = parameters[name]
        optimizer.state[parameter][part] = value.to(parameter.device)
