"""The limits of a container, as the kernel's two versions of cgroups write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from job.runtime.container import cpus, memory

NO_LIMIT = 9223372036854771712
"""What version 1 calls no limit of memory."""


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "?"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n"}, None),
        ({}, None),
    ],
)
def test_threads_keep_to_the_limit(files: dict[str, str], most: int | None, tmp_path: Path) -> None:
    write(tmp_path, files)
    unbound = len(os.sched_getaffinity(0))
    assert cpus(tmp_path) == min(most or unbound, unbound)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "1048576\n"}, 2**20),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "1048576\n"}, 2**20),
        ({"memory/memory.limit_in_bytes": f"{NO_LIMIT}\n"}, None),
        ({}, None),
    ],
)
def test_memory_is_the_limit_s_or_the_node_s(
    files: dict[str, str], limit: int | None, tmp_path: Path
) -> None:
    write(tmp_path, files)
    assert memory(tmp_path) == (limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
