"""Which process of its world a worker is: the supervisor writes it into the environment, the worker reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LAUNCHER_VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)
"""What a launcher of processes sets; torch and accelerate read these too."""
SERIAL = "WORLD_SERIAL"
MARKER = "WORLD_MARKER"


@dataclass(frozen=True)
class Membership:
    """One process of a world; by default the only one of a world of one."""

    rank: int = 0
    size: int = 1
    node: int = 0
    """The number of the pod."""
    processes: int = 1
    """Processes in each pod."""
    local_rank: int = 0
    """The number of the device."""
    address: str = "127.0.0.1"
    """Where rank 0 holds the store at which all meet."""
    port: int = 0
    serial: str = ""
    """The attempt's name, the same in all pods: what one attempt stores is not read by another."""
    marker: Path | None = None
    """A file that exists while all ranks train together; the supervisor looks for it."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Membership:
        """What a supervisor wrote; a world of one where it wrote nothing."""
        if SERIAL not in environment:
            return cls()
        return cls(
            rank=int(environment["RANK"]),
            size=int(environment["WORLD_SIZE"]),
            node=int(environment["GROUP_RANK"]),
            processes=int(environment["LOCAL_WORLD_SIZE"]),
            local_rank=int(environment["LOCAL_RANK"]),
            address=environment["MASTER_ADDR"],
            port=int(environment["MASTER_PORT"]),
            serial=environment[SERIAL],
            marker=Path(environment[MARKER]) if MARKER in environment else None,
        )

    def environment(self) -> dict[str, str]:
        """The variables of this process."""
        variables = {
            "RANK": str(self.rank),
            "LOCAL_RANK": str(self.local_rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_WORLD_SIZE": str(self.processes),
            "GROUP_RANK": str(self.node),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
            SERIAL: self.serial,
        }
        return variables | ({MARKER: str(self.marker)} if self.marker else {})

    @property
    def first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def first_of_node(self) -> bool:
        """Whether this is the first rank of its pod."""
        return self.rank % self.processes == 0
