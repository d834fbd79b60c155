"""The processes that train together, as one of them sees it: their group, and what they agree on.

`join` makes the process group once all are ready; until then ranks meet at the `rendezvous` alone.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

from job.distributed.lost_peer import naming_lost_peers
from job.distributed.membership import Membership
from job.distributed.rendezvous import Rendezvous
from job.settings import Runtime
from job.telemetry import event

ALL_READY = "go"
"""Rank 0's note that all ranks are ready to train."""
TRAINING_ENDED = "over"
"""Rank 0's note that training has ended."""


class World:
    """A world of one needs neither store nor group: each method then returns what it was given."""

    def __init__(self, runtime: Runtime, membership: Membership) -> None:
        self.rank, self.size = membership.rank, membership.size
        self.processes = membership.processes
        """Of each pod."""
        self.rendezvous = Rendezvous(membership, runtime.peer_wait)
        self.formed = False
        """Whether all ranks were together once."""
        self._runtime, self._membership = runtime, membership
        self._group: Any = None

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which prepares, decides, evaluates and publishes."""
        return self._membership.first

    # -- the group -------------------------------------------------------------------------------

    def join(self) -> None:
        """Wait until every rank is ready, then make the process group.

        From here on the loss of one ends the attempt for all; the supervisor knows it by the marker.

        Raises:
            PeerLost: a rank did not come in time, or left.
        """
        if self.size == 1 or self._group is not None:
            return
        began = time.monotonic()
        self.rendezvous.announce()
        if self.first:
            self.rendezvous.wait_for_all()
            self._mark(True)
            self.rendezvous.publish(ALL_READY, True)
        self.rendezvous.wait_for(ALL_READY)
        with naming_lost_peers("joining"):
            self._make_group()
        event("joined", rank=self.rank, world=self.size, seconds=round(time.monotonic() - began, 2))

    def _make_group(self) -> None:
        import torch
        import torch.distributed as dist
        from torch._C._distributed_c10d import PrefixStore

        backend = "gloo"
        if self._runtime.device != "cpu" and torch.cuda.is_available():
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(self._membership.local_rank)
        # longer than the watchdog waits, which logs where a step hangs
        timeout = timedelta(seconds=1.5 * self._runtime.step_timeout)
        dist.init_process_group(
            backend,
            store=PrefixStore("group", self.rendezvous.store),
            rank=self.rank,
            world_size=self.size,
            timeout=timeout,
        )
        self._group = dist.new_group(backend="gloo", timeout=timeout)
        self.formed = True
        dist.all_reduce(torch.zeros(1), group=self._group)

    def end_training(self) -> None:
        """Leave the group; from here on this rank works alone."""
        if self._group is not None:
            import torch.distributed as dist

            if self.first:
                self.rendezvous.publish(TRAINING_ENDED, True)
                self._mark(False)
            dist.destroy_process_group()
            self._group = None

    def training_ended(self) -> bool:
        """Whether this attempt has trained to the end already: a rank that comes late asks.

        Raises:
            PeerLost: rank 0 is gone, or was not found in time.
        """
        return self.size > 1 and self.rendezvous.has(TRAINING_ENDED)

    def stop_together(self) -> None:
        """Wait until every rank is about to stop; whoever exits after that is not lost but done.

        Raises:
            PeerLost: one left before.
        """
        self.any(True)
        if self._group is not None and self.first:
            self._mark(False)

    def _mark(self, together: bool) -> None:
        """Tell the supervisor whether all ranks train together."""
        if (marker := self._membership.marker) is None:
            return
        if together:
            marker.touch()
        else:
            marker.unlink(missing_ok=True)

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
        """Every rank's value, in order of the ranks; anything that JSON holds."""
        if self._group is None:
            return [value]
        text = json.dumps(value, default=float)  # numpy's numbers too
        return [json.loads(each) for each in self.gather_bytes(text.encode())]

    def gather_bytes(self, value: bytes) -> list[bytes]:
        """Every rank's bytes, in order of the ranks.

        torch's own way to gather objects would unpickle what comes in at a port that does not ask who
        is speaking, and whoever writes a pickle can run any program.
        """
        if self._group is None:
            return [value]
        import torch
        import torch.distributed as dist

        own = torch.frombuffer(bytearray(value or b" "), dtype=torch.uint8)[: len(value)]
        with naming_lost_peers("gathering"):
            sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
            dist.all_gather(sizes, torch.tensor([len(value)]), group=self._group)
            longest = max(int(size) for size in sizes)
            padded = torch.nn.functional.pad(own, (0, longest - len(value)))
            values = [torch.empty_like(padded) for _ in sizes]
            dist.all_gather(values, padded, group=self._group)
        return [bytes(each[: int(size)].numpy()) for each, size in zip(values, sizes, strict=True)]

    def agreed(self, value: Any) -> Any:
        """The first rank's value."""
        return self.gather(value if self.first else None)[0]
