"""The optimizer and the learning rate: ours, so that a step means the same in any world."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from job.settings import Train

if TYPE_CHECKING:
    import torch
    from torch import nn

NORMS = ("LayerNorm", "RMSNorm", "GroupNorm")


def adamw(model: nn.Module, settings: Train) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101) without decay on biases and norms."""
    from torch.optim import AdamW

    plain = _without_decay(model)
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name not in plain].append(parameter)
    return AdamW(
        [
            {"params": groups[True], "weight_decay": settings.weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        fused=True,
    )


def _without_decay(model: nn.Module) -> set[str]:
    """Names of biases and of everything that belongs to a norm, whatever the architecture calls it."""
    names: set[str] = set()
    for prefix, module in model.named_modules():
        is_norm = any(kind in type(module).__name__ for kind in NORMS)
        for name, _ in module.named_parameters(recurse=False):
            # T5 keeps its relative_attention_bias in an embedding of that name
            if is_norm or name.endswith("bias") or prefix.endswith("bias"):
                names.add(f"{prefix}.{name}" if prefix else name)
    return names


def warmup_steps(settings: Train, total: int) -> int:
    """The warm-up as a number of steps; a part of all steps when the setting is below 1."""
    return math.ceil(settings.warmup * total) if settings.warmup < 1 else int(settings.warmup)


def learning_rate(settings: Train, step: int, total: int) -> float:
    """The rate of step `step` (from 0) of `total`: linear warm-up, then the schedule down to 0."""
    warmup = warmup_steps(settings, total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - warmup) / max(1, total - warmup)
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate * (1 - done)
