"""The tensors of training by name, out of the model and the optimizer and back into them."""

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
    """What training changes: the parameters that learn, and buffers that are saved."""
    kept = model.state_dict(keep_vars=True).keys()
    tensors: dict[str, torch.Tensor] = {
        MODEL + name: p for name, p in model.named_parameters() if p.requires_grad
    }
    tensors.update({MODEL + name: b for name, b in model.named_buffers() if name in kept})
    return tensors


def optimizer_tensors(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Every parameter's optimizer state, as `name/exp_avg` and so on; a single number as one row,
    since files know no other."""
    return {
        f"{OPTIMIZER}{name}/{key}": value if value.dim() else value.view(1)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_model(model: torch.nn.Module, found: Restored) -> None:
    """Copy saved values into the model.

    Raises:
        DataError: the names are not this model's.
    """
    import torch

    own = model_tensors(model)
    saved = {name for name in found.names() if name.startswith(MODEL)}
    if own.keys() != saved:
        raise DataError(
            f"the checkpoint is another model's ({len(own.keys() ^ saved)} tensors differ)",
            hint="give this run another FINETUNE_RUN_ID",
        )
    with torch.no_grad():
        found.load(own)


def load_optimizer(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, found: Restored
) -> None:
    """Put saved optimizer state in place, on each parameter's own device, or this rank's part of it."""
    parameters = dict(model.named_parameters())
    for name, part in _parts(found.names()):
        parameter = parameters[name]
        optimizer.state[parameter][part] = _like(parameter, part)
    found.load(optimizer_tensors(model, optimizer))


def _parts(names: set[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(names):
        if name.startswith(OPTIMIZER):
            parameter, _, part = name.removeprefix(OPTIMIZER).rpartition("/")
            yield parameter, part


def _like(parameter: torch.Tensor, part: str) -> torch.Tensor:
    import torch

    if part == "step":  # one number, on the parameter's own device since AdamW is fused
        return torch.zeros((), dtype=torch.float32, device=parameter.device)
    return torch.zeros_like(parameter, memory_format=torch.preserve_format)
