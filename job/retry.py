"""Trying again, with backoff: the one place that knows how."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def retrying(
    work: Callable[[], T],
    worth_it: Callable[[BaseException], bool],
    attempts: int,
    seconds: float = math.inf,
) -> T:
    """Call `work` until it succeeds, at most `attempts` times, and not again after so many seconds.

    Waits a random time of up to 0.5, 1, 2, ... 15 seconds in between, so that pods which failed
    together do not come back together. The last error is raised as it is; so is at once any for
    which `worth_it` is false.
    """
    from tenacity import (
        Retrying,
        retry_if_exception,
        stop_after_attempt,
        stop_before_delay,
        wait_random_exponential,
    )

    retry = Retrying(
        retry=retry_if_exception(worth_it),
        stop=stop_after_attempt(attempts) | stop_before_delay(seconds),
        wait=wait_random_exponential(multiplier=0.5, max=15),
        reraise=True,
    )
    return retry(work)
