"""What a store is: keys below a root, written whole or not at all, replaced by compare-and-swap.

Every method raises errors of `job.errors` alone: StoreErrors, of which Absent (no such key or bucket),
Forbidden, Unreachable, BadName (what can be no key) and Conflict (a conditional write lost) are told apart;
DiskFull, DataError and SettingsError where the disk, a file or the SDK's own settings are at fault. `confirm`
raises Torn, too. Requests are repeated below this interface, with backoff, where that can help; callers do
not retry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from job.uris import Uri


@dataclass(frozen=True)
class Object:
    """One stored object: its key below the root, its size in bytes, and what identifies its content.

    `identity` changes whenever the content does: S3's version or ETag, a file's SHA-256, a Hub
    commit. `tag` is what a conditional `put` compares; it may equal `identity`.
    """

    key: str
    size: int
    identity: str
    tag: str = ""


class Reader(Protocol):
    """The reading half of a store; https:// and hf:// have no other."""

    uri: Uri
    """Where its keys are below; holds no secret."""

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Every object whose key begins with `prefix`, in key order, however many there are."""
        ...

    def stat(self, key: str) -> Object:
        """The object's size and identity."""
        ...

    def get(self, key: str) -> bytes:
        """The whole object; for small ones."""
        ...

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        """Copy the object to a local file, in parallel parts, checksums verified.

        With `identity`, exactly that content is read; Absent when it no longer exists.
        """
        ...


class Store(Reader, Protocol):
    """A store that can be written to."""

    def read(self, key: str) -> tuple[bytes, str]:
        """The whole object and its tag, for a later conditional `put`."""
        ...

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        """Write a small object and return its tag.

        Raises:
            Conflict: `if_absent` and the key exists, or its tag is not `if_tag`, and what stands
                there is not this very `data` (a retry may meet its own write: objects written
                conditionally carry a nonce, so equal bytes are one's own).
        """
        ...

    def upload(self, path: Path, key: str) -> None:
        """Copy a local file to the object, in parallel parts, with a checksum the store verifies."""
        ...

    def confirm(self, path: Path, key: str) -> Object:
        """The object, found to hold the local file's bytes: by the checksum that the store reports of
        it, by its content where the store reports none.

        Raises:
            Torn: it is missing, or holds something else.
        """
        ...

    def delete(self, keys: list[str]) -> None:
        """Remove objects; a key that does not exist is not an error."""
        ...

    def sweep(self, prefix: str, *, superseded: bool) -> int:
        """Remove what writers that were killed have left below the folder `prefix` and no listing
        shows: temporary files, uploads in parts that were never completed.

        Args:
            superseded: whether all others that have written there have been overtaken. Of those that
                have not, only what is certainly a dead one's is removed.

        Returns:
            How many were removed.
        """
        ...
