"""What the loss of a peer looks like from here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from job.errors import PeerLost, one_line


@contextmanager
def naming_lost_peers(doing: str) -> Iterator[None]:
    """Name what the loss of a peer looks like from here."""
    try:
        yield
    except RuntimeError as error:
        if not is_lost_peer(error):
            raise
        raise PeerLost(f"{doing}: {one_line(error, 200)}") from error


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error comes from a process group or a store that lost somebody."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"DistError", "DistBackendError", "DistNetworkError", "DistStoreError"}:
        return True
    words = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
