"""Local files: replaced whole or not at all, their errors named."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from job.data.artifacts import file_sha256
from job.errors import Absent, BadName, Conflict, StoreError, Unreachable, from_os_error

OWN = ".~"
"""How the names of temporary and lock files begin; listings skip them."""
LOCK = f"{OWN}lock"


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
    """An empty file beside `path` under a name of its own, removed at the end if still there.

    It is locked as long as its writer lives, and its name says on which machine that is.
    """
    name, descriptor = _created(path.parent)
    try:
        yield name
    finally:
        name.unlink(missing_ok=True)
        os.close(descriptor)


def _created(folder: Path) -> tuple[Path, int]:
    """A new temporary file, and the open file that holds its lock."""
    for attempt in range(3):
        folder.mkdir(parents=True, exist_ok=True)
        name = folder / f"{OWN}{_machine()}-{secrets.token_hex(8)}"
        try:
            descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileNotFoundError:
            # somebody deleted the folder's last file, and the folder, in between
            if attempt == 2:
                raise
            continue
        with suppress(OSError):  # not every file server knows locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if name.exists():
            return name, descriptor
        os.close(descriptor)  # taken for a dead writer's before it was locked
    raise Conflict(f"{folder}: somebody removes what is being written there")


def remove_if_dead(path: Path, *, superseded: bool) -> bool:
    """Remove a temporary file if its writer is no longer alive.

    Args:
        superseded: its writer, if it lives, has been overtaken. Of others only what was written on
            this machine is removed: not every file server passes locks on to others.

    Returns:
        Whether it was removed.
    """
    if path.name == LOCK or not path.name.startswith(OWN):
        return False
    if not superseded and not (_machine() and path.name.startswith(f"{OWN}{_machine()}-")):
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


@cache
def _machine() -> str:
    """What names this machine from its start to its end; empty where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return ""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, moved over it and made durable when the block succeeds.

    Raises:
        OSError: as the operating system does; the temporary file is removed.
        Conflict: a later attempt has removed it meanwhile.
    """
    with temporary(path) as name:
        yield name
        try:
            sync(name)
            name.rename(path)
        except FileNotFoundError:
            raise Conflict(f"{path}: what was being written was removed by somebody else") from None
        sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy(source: Path, path: Path, identity: str | None = None) -> None:
    """Copy a file to `path`, replacing it whole.

    Raises:
        Absent: there is no such file, or its SHA-256 is not `identity`.
    """
    with os_errors(str(source)), replacing(path) as name:
        shutil.copyfile(source, name)
        if identity and file_sha256(name) != identity:
            raise Absent(f"{source} has changed since it was recorded")


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, which passes over what it may not read: a listing that did so would lose data silently.

    Raises:
        OSError: as the operating system does, but for what no longer exists.
    """
    return os.walk(folder, onerror=_raise_unless_absent)


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error
