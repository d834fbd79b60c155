"""How many processes train together, which of them this pod runs, and where the first pod is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from job.errors import SettingsError
from job.settings import Runtime

JOB_INDEX = "JOB_COMPLETION_INDEX"


@dataclass(frozen=True)
class Layout:
    """A world of `nodes` pods with `processes` each; rank = node * processes + local rank."""

    nodes: int = 1
    node: int = 0
    processes: int = 1
    address: str = "127.0.0.1"
    port: int = 29400
    device: int | None = None
    """The only device of this pod's only process, where a launcher of processes says so."""

    @property
    def world(self) -> int:
        """Processes in all."""
        return self.nodes * self.processes

    def environment(self, local: int, name: str) -> dict[str, str]:
        """The variables that torch and accelerate read, for one of this pod's processes in an attempt."""
        return {
            "RANK": str(self.node * self.processes + local),
            "LOCAL_RANK": str(local if self.device is None else self.device),
            "WORLD_SIZE": str(self.world),
            "LOCAL_WORLD_SIZE": str(self.processes),
            "GROUP_RANK": str(self.node),
            # in pod 0 itself nobody waits for its name to be known
            "MASTER_ADDR": self.address if self.node else "127.0.0.1",
            "MASTER_PORT": str(self.port + 1),
            "WORLD_SERIAL": name,
        }


def layout_of(runtime: Runtime, environment: Mapping[str, str]) -> Layout:
    """The settings, completed by a launcher's variables: Kubeflow Trainer's PET_*, then RANK and its like.

    Raises:
        SettingsError: a number is missing or impossible.
    """
    env = {name: value for name, value in environment.items() if value}
    nodes, node, address, port, device = _launched(runtime, env)
    nodes = runtime.nodes or nodes
    if runtime.node is not None:
        node = runtime.node
    elif JOB_INDEX in env and nodes > 1:
        node = _number(JOB_INDEX, env)
    address = runtime.address or address
    if nodes > 1 and node is None:
        raise SettingsError(
            f"FINETUNE_RUNTIME__NODES={nodes} and nothing says which of them this pod is",
            hint=f"run it as an Indexed Job, which sets {JOB_INDEX}, or set FINETUNE_RUNTIME__NODE",
        )
    node = (node or 0) if nodes > 1 else 0
    if node >= nodes:
        raise SettingsError(
            f"this pod's number is {node}, and there are {nodes}; they count from 0",
            hint="make FINETUNE_RUNTIME__NODES the Job's completions",
        )
    if nodes > 1 and not address:
        raise SettingsError(
            f"FINETUNE_RUNTIME__NODES={nodes} and nothing says where pod 0 is",
            hint="set FINETUNE_RUNTIME__ADDRESS to its DNS name, JOB-0.SERVICE",
        )
    processes = runtime.processes or (1 if device is not None else _processes(runtime, env))
    return Layout(nodes, node, processes, address or "127.0.0.1", port or runtime.port, device)


_Launched = tuple[int, int | None, str | None, int | None, int | None]


def _launched(runtime: Runtime, env: Mapping[str, str]) -> _Launched:
    """Nodes, node, address, port and device as a launcher's variables say, if any."""
    if runtime.env == "none":
        return 1, None, None, None, None
    address = env.get("PET_MASTER_ADDR") or env.get("MASTER_ADDR")
    if "PET_NNODES" in env:
        most = {"PET_NNODES": env["PET_NNODES"].split(":")[-1]}
        node = _number("PET_NODE_RANK", env) if "PET_NODE_RANK" in env else None
        return _number("PET_NNODES", most), node, address, None, None
    if "WORLD_SIZE" not in env or "RANK" not in env:
        return 1, None, address, None, None
    nodes, node = _number("WORLD_SIZE", env), _number("RANK", env)
    torchrun = runtime.env == "processes" or (
        runtime.env == "auto" and "TORCHELASTIC_RUN_ID" in env
    )
    if not torchrun:
        return nodes, node, address, None, None
    # torchrun listens at MASTER_PORT itself
    port = _number("MASTER_PORT", env) + 1 if "MASTER_PORT" in env else None
    return nodes, node, address, port, _number("LOCAL_RANK", env) if "LOCAL_RANK" in env else 0


def _number(name: str, env: Mapping[str, str]) -> int:
    try:
        return int(env[name])
    except ValueError:
        raise SettingsError(
            f"{name}={env[name]!r} is no number",
            hint="unset it, or set FINETUNE_RUNTIME__ENV=none if it is not for this job",
        ) from None


def _processes(runtime: Runtime, env: Mapping[str, str]) -> int:
    """One process a GPU; counted without torch, which takes seconds to import."""
    if runtime.device == "cpu":
        return 1
    visible = env.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([name for name in visible.split(",") if name.strip()]))
    return max(1, sum(path.name[6:].isdigit() for path in Path("/dev").glob("nvidia*")))
