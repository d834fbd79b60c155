"""A reader that is asked again where it did not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from job.errors import Unreachable
from job.retry import retrying
from job.store.base import Object, Reader

T = TypeVar("T")


class RetryingReader:
    """Another reader whose requests are repeated, whole, where asking again may help.

    Args:
        reader: any that raises Unreachable for what may pass.
        attempts: how often it is asked before its error counts.
    """

    def __init__(self, reader: Reader, attempts: int) -> None:
        self.uri = reader.uri
        self._reader, self._attempts = reader, attempts

    def list(self, prefix: str = "") -> Iterator[Object]:
        """The reader's list; complete before its first object is handed out."""
        yield from self._asked(lambda: list(self._reader.list(prefix)))

    def stat(self, key: str) -> Object:
        """The reader's stat."""
        return self._asked(lambda: self._reader.stat(key))

    def get(self, key: str) -> bytes:
        """The reader's get."""
        return self._asked(lambda: self._reader.get(key))

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        """The reader's download."""
        self._asked(lambda: self._reader.download(key, path, identity=identity))

    def _asked(self, work: Callable[[], T]) -> T:
        return retrying(work, _may_pass, self._attempts)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Unreachable) and error.passing
