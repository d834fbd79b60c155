"""Weights compared bit for bit, tensor by tensor."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import save_file

from job.models.differences import differences


def folder(path: Path, **files: dict[str, torch.Tensor]) -> Path:
    path.mkdir()
    for name, tensors in files.items():
        save_file({n: t.clone() for n, t in tensors.items()}, path / f"{name}.safetensors")
    return path


def test_each_tensor_that_is_not_the_same_is_named_with_how_much(tmp_path: Path) -> None:
    one = torch.tensor([1.0, -2.0, 0.0])
    same = {
        "same": one,
        "half": one.half(),
        "mask": torch.tensor([True]),
        "nothing": torch.empty(0),
    }
    left = {
        "moved": one, "sign": one, "shape": one, "type": one, "gone": one, "broken": one, "point": one[0],
    }  # fmt: skip
    right = {
        "moved": one + torch.tensor([0.0, 0.25, -0.5]),
        "sign": torch.tensor([1.0, -2.0, -0.0]),
        "shape": one[:2],
        "type": one.double(),
        "new": one,
        "broken": torch.tensor([1.0, math.nan, 0.0]),
        "point": one[1],
    }
    found = differences(
        folder(tmp_path / "one", model={**same, **left}),
        # as a model that is cut into several files
        folder(tmp_path / "other", first=same, second=right),
    )
    by = {"moved": 0.5, "sign": 0.0, "point": 3.0}
    assert found == {**dict.fromkeys(("broken", "gone", "new", "shape", "type"), math.inf), **by}
