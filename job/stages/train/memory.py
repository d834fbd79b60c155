"""How many tokens a micro-batch may hold: found out by trying, and less where memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable

from job.batching import Rows
from job.batching.sampler import evaluation_batches
from job.errors import OutOfMemory
from job.runtime.device import is_out_of_memory
from job.stages.train.plan import Plan
from job.telemetry import warn
from job.text import one_line


def free() -> None:
    """Give back what a failed pass left."""
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class TokenBudget:
    """The padded tokens that a micro-batch may hold; one longer row is a micro-batch all the same."""

    def __init__(self, tokens: int, plan: Plan) -> None:
        self.tokens, self._plan = tokens, plan

    def fit(self, trial: Callable[[Rows], None]) -> None:
        """Halve it until the largest micro-batch that a step can have fits.

        Args:
            trial: forward and backward over rows, nothing synchronized.

        Raises:
            OutOfMemory: one row does not fit.
        """
        while True:
            try:
                trial(self._largest())
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                free()
                self.halve(error)

    def halve(self, error: BaseException) -> None:
        """Halve it, down to the longest row.

        Raises:
            OutOfMemory: that is what it is already.
        """
        longest = int(self._plan.lengths.max())
        if self.tokens <= longest:
            raise OutOfMemory(
                f"out of memory with one row of {longest} tokens ({one_line(error, 120)})"
            ) from error
        smaller, before = max(longest, self.tokens // 2), self.tokens
        warn(
            "out of memory; micro-batches are made smaller",
            tokens_per_device=smaller,
            before=before,
        )
        self.tokens = smaller

    def _largest(self) -> Rows:
        """The rows of the largest micro-batch that a step can have."""
        plan = self._plan
        batches = evaluation_batches(plan.lengths, tokens=self.tokens, multiple=plan.multiple)
        return batches[0][: plan.settings.batch_size]
