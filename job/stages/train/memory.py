"""How large a micro-batch fits: found out by trying, before the first step and whenever one does not."""

from __future__ import annotations

import gc
from collections.abc import Callable

from job.batching.limits import Limits
from job.batching.steps import Rows, evaluation_batches
from job.errors import OutOfMemory, is_out_of_memory, one_line
from job.stages.train.plan import Plan
from job.telemetry import warn


def free() -> None:
    """Give back what a failed pass left."""
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def largest(plan: Plan, limits: Limits, tokens: int) -> Rows:
    """The rows of the largest micro-batch that a step can have."""
    lengths = plan.lengths
    first = evaluation_batches(lengths, tokens=tokens, multiple=limits.padding.multiple)[0]
    return first[: plan.settings.batch_size]


def halved(tokens: int, plan: Plan, error: BaseException) -> int:
    """The next smaller limit.

    Raises:
        OutOfMemory: it would be below one row.
    """
    longest = int(plan.lengths.max())
    if tokens <= longest:
        raise OutOfMemory(
            f"out of memory with one row of {longest} tokens ({one_line(error, 120)})"
        ) from error
    smaller = max(longest, tokens // 2)
    warn("out of memory; micro-batches are made smaller", tokens_per_device=smaller, before=tokens)
    return smaller


def fitting(tokens: int, plan: Plan, limits: Limits, run: Callable[[Rows], None]) -> int:
    """The largest limit, halved as often as it takes, whose largest micro-batch fits.

    Args:
        tokens: to begin with.
        run: forward and backward over rows, nothing synchronized.
    """
    while True:
        try:
            run(largest(plan, limits, tokens))
            return tokens
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            free()
            tokens = halved(tokens, plan, error)
