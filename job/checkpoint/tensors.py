"""The tensors that training changes: by name out of the model and the optimizer, and back into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from job.errors import DataError

if TYPE_CHECKING:
    import torch

    from job.checkpoint.catalog import Restored

Tensors = Mapping[str, "torch.Tensor"]
MODEL, OPTIMIZER = "model/", "optimizer/"


def model_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters that are trained, and the persistent buffers."""
    persistent = model.state_dict(keep_vars=True).keys()
    tensors: dict[str, torch.Tensor] = {
        MODEL + name: p for name, p in model.named_parameters() if p.requires_grad
    }
    tensors.update({MODEL + name: b for name, b in model.named_buffers() if name in persistent})
    return tensors


def optimizer_tensors(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Every parameter's optimizer state, as `optimizer/name/exp_avg` and so on; a scalar has shape (1,),
    since the files hold nothing without a dimension."""
    return {
        f"{OPTIMIZER}{name}/{key}": value if value.dim() else value.view(1)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_model(model: torch.nn.Module, restored: Restored) -> None:
    """Copy a checkpoint's values into the model.

    Raises:
        DataError: the checkpoint holds other tensors than this model has.
    """
    import torch

    own = model_tensors(model)
    saved = {name for name in restored.names() if name.startswith(MODEL)}
    if own.keys() != saved:
        raise DataError(
            f"the checkpoint is of another model ({len(own.keys() ^ saved)} tensors differ)",
            hint="give this run another FINETUNE_RUN_ID",
        )
    with torch.no_grad():
        restored.load(own)


def load_optimizer(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, restored: Restored
) -> None:
    """Copy a checkpoint's optimizer state, or this rank's part of it, to each parameter's device."""
    parameters = dict(model.named_parameters())
    for name, key in _state_keys(restored.names()):
        parameter = parameters[name]
        optimizer.state[parameter][key] = _empty_state(parameter, key)
    restored.load(optimizer_tensors(model, optimizer))


def _state_keys(names: set[str]) -> Iterator[tuple[str, str]]:
    """The name of a parameter, and a key of its state."""
    for name in sorted(names):
        if name.startswith(OPTIMIZER):
            parameter, _, key = name.removeprefix(OPTIMIZER).rpartition("/")
            yield parameter, key


def _empty_state(parameter: torch.Tensor, key: str) -> torch.Tensor:
    import torch

    if key == "step":  # one number, on the parameter's own device since AdamW is fused
        return torch.zeros((), dtype=torch.float32, device=parameter.device)
    return torch.zeros_like(parameter, memory_format=torch.preserve_format)
