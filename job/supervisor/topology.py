"""How many processes train together, which of them this pod runs, and where the first pod is."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from job.distributed.membership import Membership
from job.errors import SettingsError
from job.settings import Runtime

JOB_INDEX = "JOB_COMPLETION_INDEX"
"""The number of a pod in an Indexed Job."""
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Topology:
    """A world of `nodes` pods with `processes` each; rank = node * processes + local rank."""

    nodes: int = 1
    node: int = 0
    processes: int = 1
    address: str = LOOPBACK
    port: int = 29400
    """Where pod 0 controls the others; its first worker has the next port."""
    device: int | None = None
    """The only device of this pod's only process, where a launcher of processes says so."""
    token: str = field(default="", repr=False)
    """What the pods of this run know, and nobody else."""

    @property
    def world(self) -> int:
        """Processes in all."""
        return self.nodes * self.processes

    @property
    def on_one_machine(self) -> bool:
        """Whether the others reach pod 0 without a network."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return self.address == "localhost"

    def check_token(self) -> None:
        """See whether the pods can tell each other from strangers.

        Raises:
            SettingsError: anybody who reaches pod 0 could take a pod's place.
        """
        if self.nodes > 1 and not self.token and not self.on_one_machine:
            raise SettingsError(
                f"{self.nodes} pods, and nothing by which they know each other",
                hint="set FINETUNE_RUNTIME__PEER_TOKEN to the same random text in all of them, from a "
                "Secret that only they may read; the chart does",
            )

    def membership(self, local: int, attempt: str, marker: Path | None = None) -> Membership:
        """One of this pod's processes in an attempt.

        Args:
            local: its number in the pod.
            marker: a file that exists while all ranks train together.
        """
        return Membership(
            rank=self.node * self.processes + local,
            size=self.world,
            node=self.node,
            processes=self.processes,
            local_rank=local if self.device is None else self.device,
            # pod 0 need not wait until its own name is known
            address=self.address if self.node else LOOPBACK,
            port=self.port + 1,
            serial=attempt,
            marker=marker,
        )


@dataclass(frozen=True)
class _Launcher:
    """What the variables of a launcher say."""

    nodes: int = 1
    node: int | None = None
    address: str | None = None
    port: int | None = None
    device: int | None = None


def topology_of(runtime: Runtime, environment: Mapping[str, str]) -> Topology:
    """The settings, completed by a launcher's variables: Kubeflow Trainer's PET_*, then RANK and its like.

    Raises:
        SettingsError: a number is missing or impossible.
    """
    env = {name: value for name, value in environment.items() if value}
    launcher = _launcher(runtime, env)
    nodes = runtime.nodes or launcher.nodes
    node = _node(runtime, env, launcher, nodes) if nodes > 1 else 0
    address = runtime.address or launcher.address
    if nodes > 1 and not address:
        raise SettingsError(
            f"FINETUNE_RUNTIME__NODES={nodes} and nothing says where pod 0 is",
            hint="set FINETUNE_RUNTIME__ADDRESS to its DNS name, JOB-0.SERVICE",
        )
    return Topology(
        nodes,
        node,
        runtime.processes or (1 if launcher.device is not None else _processes(runtime, env)),
        address or LOOPBACK,
        launcher.port or runtime.port,
        launcher.device,
        runtime.peer_token.get_secret_value(),
    )


def _node(runtime: Runtime, env: Mapping[str, str], launcher: _Launcher, nodes: int) -> int:
    """The number of this pod among several."""
    if runtime.node is not None:
        node: int | None = runtime.node
    else:
        node = _number(JOB_INDEX, env) if JOB_INDEX in env else launcher.node
    if node is None:
        raise SettingsError(
            f"FINETUNE_RUNTIME__NODES={nodes} and nothing says which of them this pod is",
            hint=f"run it as an Indexed Job, which sets {JOB_INDEX}, or set FINETUNE_RUNTIME__NODE",
        )
    if node >= nodes:
        raise SettingsError(
            f"this pod's number is {node}, and there are {nodes}; they count from 0",
            hint="make FINETUNE_RUNTIME__NODES the Job's completions",
        )
    return node


def _launcher(runtime: Runtime, env: Mapping[str, str]) -> _Launcher:
    """What a launcher's variables say, if there is one."""
    if runtime.env == "none":
        return _Launcher()
    address = env.get("PET_MASTER_ADDR") or env.get("MASTER_ADDR")
    if "PET_NNODES" in env:
        most = {"PET_NNODES": env["PET_NNODES"].split(":")[-1]}  # of MIN:MAX
        node = _number("PET_NODE_RANK", env) if "PET_NODE_RANK" in env else None
        return _Launcher(_number("PET_NNODES", most), node, address)
    if "WORLD_SIZE" not in env or "RANK" not in env:
        return _Launcher(address=address)
    nodes, node = _number("WORLD_SIZE", env), _number("RANK", env)
    torchrun = runtime.env == "processes" or (
        runtime.env == "auto" and "TORCHELASTIC_RUN_ID" in env
    )
    if not torchrun:
        return _Launcher(nodes, node, address)
    if env.get("LOCAL_WORLD_SIZE") == env["WORLD_SIZE"]:
        address = LOOPBACK  # all are on this machine, which torchrun calls by its name
    # torchrun listens at MASTER_PORT itself
    port = _number("MASTER_PORT", env) + 1 if "MASTER_PORT" in env else None
    device = _number("LOCAL_RANK", env) if "LOCAL_RANK" in env else 0
    return _Launcher(nodes, node, address, port, device)


def _number(name: str, env: Mapping[str, str]) -> int:
    try:
        return int(env[name])
    except ValueError:
        raise SettingsError(
            f"{name}={env[name]!r} is not a number",
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
