"""The device without a GPU: its precision and its seeds."""

from __future__ import annotations

import pytest

from job.errors import SettingsError
from job.runtime.device import check_gpu, has_gpu, precision_of, seed_everything
from job.settings import Runtime

CPU = Runtime(device="cpu")


def test_a_cpu_computes_in_float32_unless_told_otherwise() -> None:
    assert not has_gpu(CPU)
    assert precision_of("auto", CPU) == "no"
    assert precision_of("bf16", CPU) == "bf16"
    with pytest.raises(SettingsError, match="fp16 needs a GPU"):
        precision_of("fp16", CPU)


def test_a_gpu_that_is_not_there_needs_no_check() -> None:
    check_gpu()


def test_the_same_numbers_give_the_same_draws() -> None:
    import torch

    def drawn(*numbers: int) -> list[float]:
        seed_everything(*numbers)
        return list(torch.rand(3).tolist())

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    assert drawn(1, 2, 3) != drawn(1, 2, 4)
    assert drawn(1, 23) != drawn(12, 3)
