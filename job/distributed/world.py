"""The processes that train together, as one of them sees it.

Before training nothing is collective: the first rank leaves notes in a TCPStore and the others wait
for them, however long preparation takes. `join` makes the process group, once all are there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import PeerLost
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
            with _lost("leaving a note"):
                self._store(lambda: None).set(name, json.dumps(value))

    def hear(self, name: str, poll: Callable[[], None]) -> Any:
        """Wait for a note; `poll` is called meanwhile.

        Raises:
            PeerLost: the first rank is gone, or was not found in time.
        """
        store = self._store(poll)
        with _lost("waiting for the first process"):
            while not store.check([name]):
                poll()
                time.sleep(POLL_SECONDS)
            return json.loads(store.get(name))

    def here(self, name: str, make: Callable[[], Any], poll: Callable[[], None]) -> Any:
        """What the first rank of this pod makes, for all ranks of the pod; anything that JSON holds."""
        if self.size == 1 or self.processes == 1:
            return make()
        if not self.first_here:
            return self.hear(f"{name}/{self.node}", poll)
        value = make()
        self.tell(f"{name}/{self.node}", value)
        return value

    def _store(self, poll: Callable[[], None]) -> Store:
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
                        f"{host}:{port} was not reached ({_first_line(error)})", again=False
                    ) from error
                time.sleep(0.5)
        self._notes = PrefixStore(os.environ["WORLD_SERIAL"], store)
        return self._notes

    # -- the group -------------------------------------------------------------------------------

    def join(self, poll: Callable[[], None]) -> None:
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

        store, began = self._store(poll), time.monotonic()
        self.tell(f"ready/{self.rank}", True)
        if self.first:
            self._wait_for_all(store, poll, began)
            self._marker.touch()
            self.tell("go", True)
        self.hear("go", poll)
        backend = "gloo"
        if self._gpu():
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # longer than the watchdog, which says where a step stands still
        timeout = timedelta(seconds=1.5 * self._runtime.step_timeout)
        with _lost("joining"):
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

    def _wait_for_all(self, store: Store, poll: Callable[[], None], began: float) -> None:
        missing = [f"ready/{rank}" for rank in range(self.size)]
        said = began
        with _lost("waiting for the others"):
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

    def over(self, poll: Callable[[], None]) -> bool:
        """Whether this attempt has trained to the end: what a rank finds that comes when it has."""
        if self.size == 1:
            return False
        with _lost("asking the first process"):
            return bool(self._store(poll).check([OVER]))

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
        with _lost("a step"):
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
        with _lost("gathering"):
            dist.all_gather_object(values, value, group=self._group)
        return values

    def agreed(self, value: Any) -> Any:
        """The first rank's value."""
        return self.gather(value if self.first else None)[0]


@contextmanager
def _lost(doing: str) -> Iterator[None]:
    """Name what the loss of a peer looks like from here."""
    try:
        yield
    except RuntimeError as error:
        if not is_lost_peer(error):
            raise
        raise PeerLost(f"{doing}: {_first_line(error)}") from error


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error comes from a process group or a store that lost somebody."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"DistError", "DistBackendError", "DistNetworkError", "DistStoreError"}:
        return True
    words = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
