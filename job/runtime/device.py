"""The device that a process computes on: whether it is a GPU, whether it works, its precision, its seeds."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from job.errors import BrokenDevice, SettingsError
from job.settings import Runtime
from job.text import one_line

if TYPE_CHECKING:
    from accelerate import Accelerator


def has_gpu(runtime: Runtime) -> bool:
    """Whether training will use a GPU."""
    if runtime.device == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


def check_gpu() -> None:
    """Compute something whose result is known.

    Raises:
        BrokenDevice: the GPU does not answer, or answers wrongly.
    """
    import torch

    if not torch.cuda.is_available():
        return
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    try:
        # small whole numbers: every product and sum is exact in any order and precision
        numbers = torch.arange(1024 * 1024, device=device).reshape(1024, 1024) % 3
        result = (numbers.float() @ numbers.float().T).double().sum().item()
        expected = (numbers.sum(dim=0).double() ** 2).sum().item()
    except RuntimeError as error:
        reason = one_line(error)
        raise BrokenDevice(f"{device} on node {node_name()} does not work ({reason})") from error
    if result != expected:
        raise BrokenDevice(f"{device} on node {node_name()} computes wrongly")


def node_name() -> str:
    """The node's name where the pod was given it as NODE_NAME, else the host's."""
    return os.environ.get("NODE_NAME") or socket.gethostname()


def precision_of(precision: str, runtime: Runtime) -> str:
    """A setting with `auto` resolved: bf16 on a GPU that computes in it, else no.

    Raises:
        SettingsError: fp16 without a GPU, which accelerate would silently run in float32.
    """
    gpu = has_gpu(runtime)
    if precision == "fp16" and not gpu:
        raise SettingsError(
            "FINETUNE_TRAIN__PRECISION=fp16 needs a GPU, and there is none",
            hint="use bf16 or no",
        )
    if precision == "auto":
        import torch

        return "bf16" if gpu and torch.cuda.is_bf16_supported() else "no"
    return precision


def accelerator(precision: str, runtime: Runtime) -> Accelerator:
    """Accelerate's handle on the device and the processes that train together."""
    from accelerate import Accelerator

    # by itself accelerate takes several processes without a GPU for as many runs of one
    return Accelerator(mixed_precision=precision, cpu=not has_gpu(runtime))


def seed_everything(*numbers: int) -> None:
    """Seed torch from several numbers at once, such as (seed, step, rank, micro-batch)."""
    import numpy as np
    import torch

    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or this process, had no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # the last two are oneDNN's
    words = (
        *("can't allocate memory", "not enough memory", "Cannot allocate memory", "bad_alloc"),
        *("could not create a primitive", "could not create a memory object"),
    )
    return isinstance(error, (RuntimeError, OSError)) and any(word in str(error) for word in words)
