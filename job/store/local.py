"""Local files: replaced whole or not at all, their errors named."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from job.errors import Absent, BadName, StoreError, Unreachable, from_os_error

OWN = ".~"
"""How the names of temporary and lock files begin; listings skip them."""


@contextmanager
def os_errors(what: str) -> Iterator[None]:
    """Turn the operating system's errors into the store's.

    Raises:
        Absent: there is no such file.
        Forbidden, DiskFull: as `job.errors.from_os_error` says.
        BadName: the name is too long, or symbolic links lead in a circle.
        StoreError: there is a file where a folder is needed, or the other way round.
        Unreachable: anything else, such as a file server that does not answer.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise Absent(f"{what}: no such file") from error
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise StoreError(
            f"{what}: {error.strerror}", hint="a folder store cannot hold both a and a/b"
        ) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise BadName(f"{what[:1_000]}: {error.strerror}", hint="correct the name") from None
        raise from_os_error(error, what) or Unreachable(
            f"{what}: {error.strerror or error}",
            hint="check the disk or the file server behind the folder",
        ) from error


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """An empty file beside `path` under a name of its own, removed at the end if still there."""
    name = path.parent / f"{OWN}{secrets.token_hex(8)}"
    for attempt in range(3):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            name.touch(exist_ok=False)
            break
        except FileNotFoundError:
            # somebody deleted the folder's last file, and the folder, in between
            if attempt == 2:
                raise
    try:
        yield name
    finally:
        name.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, moved over it and made durable when the block succeeds.

    Raises:
        OSError: as the operating system does; the temporary file is removed.
    """
    with temporary(path) as name:
        yield name
        sync(name)
        name.rename(path)
        sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
