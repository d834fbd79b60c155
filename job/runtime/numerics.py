"""What the last bits of a computation depend on besides its inputs: the code, the packages, the processor."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.data.artifacts import file_sha256

if TYPE_CHECKING:
    import torch

PACKAGES = (
    *("finetune-job", "transformers", "torch", "accelerate", "tokenizers", "peft"),
    *("numpy", "pyarrow", "safetensors"),
)
"""Those that read what is learned from, compute with it, and write what was learned."""


def numerics(device: torch.device) -> Mapping[str, Any]:
    """What this process computes with, by name; anything that JSON holds.

    Args:
        device: the one that it computes on.
    """
    import torch

    facts = {
        **_versions(),
        "code": code(),
        "device": "cpu",
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": torch.backends.mkldnn.is_available(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        facts["device"] = torch.cuda.get_device_name(device)
        facts["cuda"], facts["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
    return facts


def described(facts: Mapping[str, Any]) -> str:
    """The same in words, with the world's `processes` and `world`."""
    packages = ", ".join(f"{name} {facts[name]}" for name in PACKAGES if name in facts)
    where = facts["processor"] if facts["device"] == "cpu" else facts["device"]
    processes, threads = facts["world"], facts["threads"]
    world = "1 process" if processes == 1 else f"{processes} processes"
    each = "1 thread" if threads == 1 else f"{threads} threads"
    return f"{packages}; {world} of {each} on {where} ({facts['instructions']})"


@cache
def _versions() -> Mapping[str, str]:
    return {name: version(name) for name in PACKAGES}


@cache
def code() -> str:
    """The digest of this package's own source, by which two builds of one version differ."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(bytes.fromhex(file_sha256(path)))
    return f"sha256:{digest.hexdigest()[:16]}"


@cache
def _processor() -> str:
    """The processor's model, by which libraries choose how they compute; its architecture elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()
