"""Where the ranks of an attempt meet before they are a group: notes in a TCPStore that rank 0 holds.

Nothing here is collective: one rank publishes a note and the others wait for it, however long
preparation takes.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from job.distributed.lost_peer import naming_lost_peers
from job.distributed.membership import Membership
from job.errors import PeerLost
from job.runtime.stop import poll
from job.telemetry import event
from job.text import one_line

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

POLL_SECONDS = 0.05
RECONNECT_SECONDS = 0.5
LOG_SECONDS = 15.0
"""Between two log lines about ranks that are waited for."""


class Rendezvous:
    """The notes of one attempt; a world of one needs no store, and publishing does nothing."""

    def __init__(self, membership: Membership, peer_wait: float) -> None:
        """
        Args:
            peer_wait: seconds to wait for the store, and for all ranks to be ready.
        """
        self._membership, self._peer_wait = membership, peer_wait
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The attempt's own part of the store; connected when it is first asked for.

        Raises:
            PeerLost: it was not reached in time.
        """
        from torch._C._distributed_c10d import PrefixStore

        if self._store is None:
            self._store = PrefixStore(self._membership.serial, self._connected())
        return self._store

    def _connected(self) -> Store:
        from torch._C._distributed_c10d import TCPStore

        host, port, first = self._membership.address, self._membership.port, self._membership.first
        deadline = time.monotonic() + self._peer_wait
        while True:
            poll()
            try:
                return TCPStore(
                    host,
                    port,
                    is_master=first,
                    wait_for_workers=False,
                    timeout=timedelta(seconds=5),
                    master_listen_fd=self._loopback(host, port) if first else None,
                )
            except (RuntimeError, OSError) as error:
                # the name is not known yet, or the port not open yet
                if first or time.monotonic() > deadline:
                    raise PeerLost(
                        f"{host}:{port} was not reached ({one_line(error, 200)})", rejoins=False
                    ) from error
                time.sleep(RECONNECT_SECONDS)

    def _loopback(self, host: str, port: int) -> int | None:
        """A socket at which only this pod's own processes can be heard; None where there are other
        pods, for which torch listens at every address."""
        if self._membership.size > self._membership.processes:
            return None
        return socket.create_server((host, port), backlog=self._membership.size).detach()

    def publish(self, name: str, value: Any) -> None:
        """Leave a note for the other ranks: anything that JSON holds.

        Raises:
            PeerLost: rank 0 is gone, or was not found in time.
        """
        if self._membership.size > 1:
            with naming_lost_peers("publishing a note"):
                self.store.set(name, json.dumps(value))

    def wait_for(self, name: str) -> Any:
        """The note of that name, once some rank has published it.

        Raises:
            PeerLost: rank 0 is gone, or was not found in time.
        """
        store = self.store
        with naming_lost_peers("waiting for the first process"):
            while not store.check([name]):
                poll()
                time.sleep(POLL_SECONDS)
            return json.loads(store.get(name))

    def has(self, name: str) -> bool:
        """Whether the note has been published.

        Raises:
            PeerLost: rank 0 is gone, or was not found in time.
        """
        with naming_lost_peers("asking the first process"):
            return bool(self.store.check([name]))

    def publish_to_node(self, name: str, value: Any) -> None:
        """Leave a note for the other ranks of this pod, which get it by `once_per_node`.

        Raises:
            PeerLost: rank 0 is gone, or was not found in time.
        """
        if self._membership.processes > 1:
            self.publish(f"{name}/{self._membership.node}", value)

    def once_per_node(self, name: str, make: Callable[[], Any]) -> Any:
        """What the first rank of this pod makes, for all ranks of the pod; as JSON holds it.

        Raises:
            PeerLost: rank 0 is gone, or was not found in time.
        """
        if not self._membership.first_of_node:
            return self.wait_for(f"{name}/{self._membership.node}")
        value = make()
        self.publish_to_node(name, value)
        return value

    def announce(self) -> None:
        """Let rank 0 know that this rank is ready to train."""
        self.publish(_ready(self._membership.rank), True)

    def wait_for_all(self) -> None:
        """Wait until every rank has announced itself.

        Raises:
            PeerLost: some did not within the time that peers are waited for.
        """
        began = logged = time.monotonic()
        store, size = self.store, self._membership.size
        missing = [_ready(rank) for rank in range(size)]
        with naming_lost_peers("waiting for the others"):
            while missing := [name for name in missing if not store.check([name])]:
                poll()
                now = time.monotonic()
                if now - began > self._peer_wait:
                    raise PeerLost(
                        f"{len(missing)} of {size} processes did not come within "
                        f"{self._peer_wait:g} s ({', '.join(missing[:5])})",
                        rejoins=False,
                    )
                if now - logged > LOG_SECONDS:
                    logged = now
                    event("waiting for processes", missing=len(missing), of=size)
                time.sleep(POLL_SECONDS)


def _ready(rank: int) -> str:
    return f"ready/{rank}"
