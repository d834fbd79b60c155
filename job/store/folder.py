"""A folder as a store: for a laptop, for tests, and for data that is mounted."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from job.data.artifacts import file_sha256
from job.errors import Absent, Conflict, Torn
from job.store.base import Object
from job.store.keys import resolved, safe_path
from job.store.local import (
    LOCK,
    OWN,
    copy,
    os_errors,
    remove_if_dead,
    replacing,
    sync,
    temporary,
    walk,
)
from job.uris import Uri


class _File(Object):
    """An object whose content is hashed only when somebody asks, so that listing stays cheap."""

    def __init__(self, key: str, path: Path, size: int) -> None:
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "_path", path)

    @cached_property
    def identity(self) -> str:
        with os_errors(str(self._path)):
            return file_sha256(self._path)

    @property
    def tag(self) -> str:
        return self.identity

    _path: Path


class FolderStore:
    """Keys are paths below `root`. Identity and tag are the SHA-256 of the content, in hex."""

    def __init__(self, root: Path) -> None:
        self.root = resolved(root)
        self.uri = Uri(str(self.root))

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Every file whose key begins with `prefix`, in the keys' byte order.

        Links to files are listed, links to folders are not followed. A folder that does not exist
        is empty.
        """
        # nothing above the prefix's last folder can match it; `..` in it must not lead out
        top = prefix.rpartition("/")[0]
        start = safe_path(self.root, top) if top else self.root
        files = []
        with os_errors(str(self.root)):
            for folder, _, names in walk(start):
                for name in names:
                    path = Path(folder, name)
                    key = path.relative_to(self.root).as_posix()
                    if key.startswith(prefix) and not name.startswith(OWN):
                        # removed since, or a dangling link: a listing is not a promise
                        with suppress(FileNotFoundError):
                            files.append(_File(key, path, path.stat().st_size))
        yield from sorted(files, key=lambda item: os.fsencode(item.key))

    def stat(self, key: str) -> Object:
        """The file's size in bytes and identity."""
        path = self._file(key)
        with os_errors(str(path)):
            digest = file_sha256(path)
            return Object(key, path.stat().st_size, digest, digest)

    def get(self, key: str) -> bytes:
        """The file's content."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        """The file's content and its tag."""
        path = self._file(key)
        with os_errors(str(path)):
            data = path.read_bytes()
        return data, hashlib.sha256(data).hexdigest()

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        """Copy the file to `path`, replacing it whole.

        Raises:
            Absent: there is no such file, or its content is not that of `identity`.
        """
        copy(self._file(key), path, identity)

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        """Write `data` and return its tag; durable when it returns.

        Raises:
            Conflict: the condition does not hold, and the file's content is not `data` already.
        """
        path = safe_path(self.root, key)
        tag = hashlib.sha256(data).hexdigest()
        with os_errors(str(path)):
            if if_absent:
                self._create(path, data)
            elif if_tag is not None:
                self._replace(path, data, if_tag)
            else:
                with replacing(path) as name:
                    name.write_bytes(data)
        return tag

    def upload(self, path: Path, key: str) -> None:
        """Copy the local file `path` to `key`, replacing it whole; durable when it returns."""
        target = safe_path(self.root, key)
        with os_errors(str(target)), replacing(target) as name:
            shutil.copyfile(path, name)

    def confirm(self, path: Path, key: str) -> Object:
        """The file at `key`, if its content is that of the local file `path`.

        Raises:
            Torn: it is missing, or holds something else.
        """
        try:
            stored = self.stat(key)
        except Absent as error:
            raise Torn(f"{self.uri}/{key} is missing") from error
        with os_errors(str(path)):
            size = path.stat().st_size
            if stored.size != size:
                raise Torn(f"{self.uri}/{key} has {stored.size} bytes instead of {size}")
            if stored.identity != file_sha256(path):
                raise Torn(f"{self.uri}/{key} does not hold what was uploaded")
        return stored

    def delete(self, keys: Iterable[str]) -> None:
        """Remove files, and the folders that this leaves empty."""
        for key in keys:
            path = safe_path(self.root, key)
            with os_errors(str(path)):
                path.unlink(missing_ok=True)
                _remove_empty(path.parent, self.root)

    def sweep(self, prefix: str, *, superseded: bool) -> int:
        """Remove the temporary files of writers that were killed."""
        count = 0
        with os_errors(str(self.root)):
            for folder, _, names in os.walk(safe_path(self.root, prefix.rstrip("/"))):
                for name in names:
                    count += remove_if_dead(Path(folder, name), superseded=superseded)
                _remove_empty(Path(folder), self.root)
        return count

    def _file(self, key: str) -> Path:
        path = safe_path(self.root, key)
        with os_errors(str(path)):
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    return path
            except NotADirectoryError:
                pass
        raise Absent(f"{path}: no such file")

    def _create(self, path: Path, data: bytes) -> None:
        with temporary(path) as name:
            name.write_bytes(data)
            sync(name)
            try:
                # a link is made or refused in one step, also on file servers that know no locks
                os.link(name, path)
            except FileExistsError:
                if path.read_bytes() != data:
                    raise Conflict(f"{path} already exists") from None
            sync(path.parent)

    def _replace(self, path: Path, data: bytes, tag: str) -> None:
        with _locked(path.parent):
            current = path.read_bytes() if path.exists() else None
            if current == data:
                return
            if current is None or hashlib.sha256(current).hexdigest() != tag:
                raise Conflict(f"{path} was changed by somebody else")
            with replacing(path) as name:
                name.write_bytes(data)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock against other threads and processes; the system drops it on death."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove `folder` and its parents below `root`, up to the first that holds something."""
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
