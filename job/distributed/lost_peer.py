"""How the loss of a peer shows: gloo, NCCL and the store raise it as a RuntimeError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from job.errors import PeerLost
from job.text import one_line


@contextmanager
def naming_lost_peers(doing: str) -> Iterator[None]:
    """Let errors of gloo, NCCL and the store that mean a lost peer end as such.

    Args:
        doing: what was being done, for the message.

    Raises:
        PeerLost: in their place.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_lost_peer(error):
            raise
        raise PeerLost(f"{doing}: {one_line(error, 200)}") from error


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error comes from a process group, or its store, that lost a peer."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"DistError", "DistBackendError", "DistNetworkError", "DistStoreError"}:
        return True
    words = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
