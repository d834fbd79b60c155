"""The processes that train together, as one of them sees it.

Before training nothing is collective: the first rank leaves notes in a TCPStore and the others wait
for them, however long preparation takes. `join` makes the process group, once all are there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.distributed.failures import naming_lost_peers
from job.errors import PeerLost, one_line
from job.runtime.stop import poll
from job.settings import Runtime
from job.telemetry import event

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

OVER = "over"
"""The first rank's note that training is over."""
POLL_SECONDS = 0.05
MARKER = "WORLD_MARKER"
"""The variable that names a file which is there while all ranks train together."""


class World:
    """A world of one needs neither store nor group: each method then gives back what it is given."""

    def __init__(self, runtime: Runtime) -> None:
        self.rank = int(os.environ.get("RANK", "0")) if "WORLD_SERIAL" in os.environ else 0
        self.size = int(os.environ["WORLD_SIZE"]) if "WORLD_SERIAL" in os.environ else 1
        self.node = int(os.environ.get("GROUP_RANK", "0")) if self.size > 1 else 0
        self.processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if self.size > 1 else 1
        self._runtime = runtime
        self._notes: Store | None = None
        self._group: Any = None
        self.formed = False
        """Whether all ranks were together once."""

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which prepares, decides, evaluates and publishes."""
        return self.rank == 0

    @property
    def first_here(self) -> bool:
        """Whether this is the first rank of its pod, which fetches for the others."""
        return self.rank % self.processes == 0

    @property
    def group(self) -> Any:
        """The gloo group of all ranks; None in a world of one, or before `join`."""
        return self._group

    # -- notes -----------------------------------------------------------------------------------

    def tell(self, name: str, value: Any) -> None:
        """Leave a note, as JSON."""
        if self.size > 1:
            with naming_lost_peers("leaving a note"):
                self._store().set(name, json.dumps(value))

    def hear(self, name: str) -> Any:
        """Wait for a note.

        Raises:
            PeerLost: the first rank is gone, or was not found in time.
        """
        store = self._store()
        with naming_lost_peers("waiting for the first process"):
            while not store.check([name]):
                poll()
                time.sleep(POLL_SECONDS)
            return json.loads(store.get(name))

    def here(self, name: str, make: Callable[[], Any]) -> Any:
        """What the first rank of this pod makes, for all ranks of the pod; anything that JSON holds."""
        if self.size == 1 or self.processes == 1:
            return make()
        if not self.first_here:
            return self.hear(f"{name}/{self.node}")
        value = make()
        self.tell(f"{name}/{self.node}", value)
        return value

    def _store(self) -> Store:
        """The notes of this attempt: the first rank holds them, the others look for it."""
        from torch._C._distributed_c10d import PrefixStore, TCPStore

        if self._notes is not None:
            return self._notes
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        until = time.monotonic() + self._runtime.peer_wait
        while True:
            poll()
            try:
                store = TCPStore(
                    host,
                    port,
                    is_master=self.first,
                    wait_for_workers=False,
                    timeout=timedelta(seconds=5),
                )
                break
            except RuntimeError as error:  # no such name yet, nobody listens yet
                if self.first or time.monotonic() > until:
                    raise PeerLost(
                        f"{host}:{port} was not reached ({one_line(error, 200)})", again=False
                    ) from error
                time.sleep(0.5)
        self._notes = PrefixStore(os.environ["WORLD_SERIAL"], store)
        return self._notes

    # -- the group -------------------------------------------------------------------------------

    def join(self) -> None:
        """Wait until every rank is ready, then make the process group.

        From here on the loss of one ends the attempt for all; the supervisor knows it by MARKER.

        Raises:
            PeerLost: a rank did not come in time, or left.
        """
        if self.size == 1 or self._group is not None:
            return
        import torch
        import torch.distributed as dist
        from torch._C._distributed_c10d import PrefixStore

        store, began = self._store(), time.monotonic()
        self.tell(f"ready/{self.rank}", True)
        if self.first:
            self._wait_for_all(store, began)
            self._marker.touch()
            self.tell("go", True)
        self.hear("go")
        backend = "gloo"
        if self._gpu():
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # longer than the watchdog, which says where a step stands still
        timeout = timedelta(seconds=1.5 * self._runtime.step_timeout)
        with naming_lost_peers("joining"):
            dist.init_process_group(
                backend,
                store=PrefixStore("group", store),
                rank=self.rank,
                world_size=self.size,
                timeout=timeout,
            )
            self._group = dist.new_group(backend="gloo", timeout=timeout)
            self.formed = True
            dist.all_reduce(torch.zeros(1), group=self._group)
        event("joined", rank=self.rank, world=self.size, seconds=round(time.monotonic() - began, 2))

    def _wait_for_all(self, store: Store, began: float) -> None:
        missing = [f"ready/{rank}" for rank in range(self.size)]
        said = began
        with naming_lost_peers("waiting for the others"):
            while missing := [name for name in missing if not store.check([name])]:
                poll()
                now = time.monotonic()
                if now - began > self._runtime.peer_wait:
                    raise PeerLost(
                        f"{len(missing)} of {self.size} processes did not come within "
                        f"{self._runtime.peer_wait:g} s ({', '.join(missing[:5])})",
                        again=False,
                    )
                if now - said > 15:
                    said = now
                    event("waiting for processes", missing=len(missing), of=self.size)
                time.sleep(POLL_SECONDS)

    def _gpu(self) -> bool:
        import torch

        return self._runtime.device != "cpu" and torch.cuda.is_available()

    def leave(self) -> None:
        """Give the group up; what this rank does from here on it does alone."""
        if self._group is not None:
            import torch.distributed as dist

            if self.first:
                self.tell(OVER, True)
                self._marker.unlink(missing_ok=True)
            dist.destroy_process_group()
            self._group = None

    def part(self) -> None:
        """Wait until every rank is here; whoever leaves after that is not lost but done.

        Raises:
            PeerLost: one left before.
        """
        self.any(True)
        if self._group is not None and self.first:
            self._marker.unlink(missing_ok=True)

    def over(self) -> bool:
        """Whether this attempt has trained to the end: what a rank finds that comes when it has."""
        if self.size == 1:
            return False
        with naming_lost_peers("asking the first process"):
            return bool(self._store().check([OVER]))

    @property
    def _marker(self) -> Path:
        return Path(os.environ[MARKER])

    # -- collectives, over gloo, of small things --------------------------------------------------

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag whether some rank has raised it."""
        if self._group is None:
            return flags
        import torch
        import torch.distributed as dist

        raised = torch.tensor(flags, dtype=torch.uint8)
        with naming_lost_peers("a step"):
            dist.all_reduce(raised, op=dist.ReduceOp.MAX, group=self._group)
        return tuple(bool(flag) for flag in raised.tolist())

    def smallest(self, number: int) -> int:
        """The smallest of the ranks' numbers."""
        return min(int(value) for value in self.gather(number))

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, in order of the ranks.

        Values are pickled between processes of one attempt; nothing from the store is.
        """
        if self._group is None:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        with naming_lost_peers("gathering"):
            dist.all_gather_object(values, value, group=self._group)
        return values

    def agreed(self, value: Any) -> Any:
        """The first rank's value."""
        return self.gather(value if self.first else None)[0]
