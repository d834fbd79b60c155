"""Where the weights of two models are not the same, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

SAFETENSORS = "*.safetensors"
"""The files that hold a model's weights, or its adapters'."""


def differences(one: Path, other: Path) -> dict[str, float]:
    """The largest absolute difference in each tensor that is not the same bit for bit, by its name.

    It is infinite in a tensor that one folder alone holds, or of which they hold another shape or
    type, and where a number is not finite; 0 where only the sign of zeros differs.

    Args:
        one: a folder with a model's safetensors files, as `other` is.
    """
    with ExitStack() as stack:
        tensors, others = (dict(_tensors(folder, stack)) for folder in (one, other))
        return {
            name: largest
            for name in sorted(tensors.keys() | others.keys())
            if (largest := _largest(tensors.get(name), others.get(name), name)) is not None
        }


def _tensors(folder: Path, stack: ExitStack) -> Iterator[tuple[str, Any]]:
    """The open file that holds a tensor, by the tensor's name."""
    from safetensors import safe_open

    for path in sorted(folder.glob(SAFETENSORS)):
        file = stack.enter_context(safe_open(path, framework="pt"))
        names = file.keys()
        yield from ((name, file) for name in names)


def _largest(one: Any, other: Any, name: str) -> float | None:
    """The largest difference in a tensor; None where there is none. One tensor is in memory at a time."""
    import torch

    if one is None or other is None:
        return math.inf
    left, right = one.get_tensor(name), other.get_tensor(name)
    if left.shape != right.shape or left.dtype != right.dtype:
        return math.inf
    if torch.equal(_bytes(left), _bytes(right)):
        return None
    largest = float((left.double() - right.double()).abs().max())
    return largest if math.isfinite(largest) else math.inf


def _bytes(tensor: Any) -> Any:
    import torch

    return tensor.reshape(-1).view(torch.uint8)
