"""What the kernel lets this container have: the CPUs and the memory of its cgroup, version 2 or 1."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cpus(root: Path = CGROUPS) -> int:
    """CPUs that this container may use; os.cpu_count() does not know of limits, and torch would
    start a thread for each CPU of the node."""
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota, period = _numbers(root, "cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    if quota is None or quota < 0 or not period:  # version 1 says -1 where there is no limit
        return available
    return max(1, min(available, round(quota / period)))


def memory(root: Path = CGROUPS) -> int:
    """Bytes of memory that this container may use; without a limit, what the node has."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, _ = _numbers(root, "memory.max", "memory/memory.limit_in_bytes")
    return installed if limit is None else min(installed, limit)


def _numbers(root: Path, new: str, *old: str) -> tuple[int | None, int | None]:
    """The first two numbers of version 2's file, or of version 1's; None for `max`, or for no number."""
    words: list[str] = []
    for names in ((new,), old):
        with suppress(OSError):
            words = words or [word for name in names for word in (root / name).read_text().split()]
    numbers = [int(word) if word.lstrip("-").isdigit() else None for word in words]
    first, second, *_ = [*numbers, None, None]
    return first, second
