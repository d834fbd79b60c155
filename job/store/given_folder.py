"""A folder of data as somebody else left it: read, and trusted in nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from job.data.artifacts import file_sha256, irregular
from job.errors import Absent, BadName
from job.store.base import Object
from job.store.keys import resolved
from job.store.local import copy, os_errors, walk
from job.text import is_text
from job.uris import Uri


class _Entry(Object):
    """A file that is looked into only when somebody asks what identifies it."""

    def __init__(self, key: str, size: int, folder: GivenFolder) -> None:
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "_folder", folder)

    @cached_property
    def identity(self) -> str:
        return self._folder.stat(self.key).identity

    _folder: GivenFolder


class GivenFolder:
    """The files below `root`; a key is a path below it, and its parts may be any names there are.

    What is listed may still be refused, when it is asked what identifies it: a pipe, a socket or a
    device; a link that leads nowhere, to a folder, or out of `root`; a name that is not UTF-8.

    Args:
        root: an existing folder.
        follow_links: whether links may lead out of it.
    """

    def __init__(self, root: Path, *, follow_links: bool = False) -> None:
        self.root = resolved(root)
        self.uri = Uri(str(self.root))
        self._follow_links = follow_links

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Everything but folders whose key begins with `prefix`, in the keys' byte order."""
        start = self._path(prefix.rpartition("/")[0]) if "/" in prefix else self.root
        entries = []
        with os_errors(str(self.root)):
            for folder, folders, names in walk(start):
                links = [name for name in folders if Path(folder, name).is_symlink()]
                for name in [*names, *links]:
                    path = Path(folder, name)
                    key = path.relative_to(self.root).as_posix()
                    if key.startswith(prefix):
                        entries.append(_Entry(key, path.lstat().st_size, self))
        yield from sorted(entries, key=lambda item: os.fsencode(item.key))

    def stat(self, key: str) -> Object:
        """The file's size in bytes and the SHA-256 of its content.

        Raises:
            BadName, DataError: it is something that is not read.
        """
        path = self._file(key)
        with os_errors(str(path)):
            digest = file_sha256(path)
            return Object(key, path.stat().st_size, digest, digest)

    def get(self, key: str) -> bytes:
        """The file's content."""
        path = self._file(key)
        with os_errors(str(path)):
            return path.read_bytes()

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        """Copy the file to `path`, replacing it whole.

        Raises:
            Absent: there is no such file, or its content is not that of `identity`.
        """
        copy(self._file(key), path, identity)

    def _file(self, key: str) -> Path:
        path = self._path(key)
        with os_errors(str(path)):
            try:
                mode = path.stat().st_mode
            except NotADirectoryError:
                raise Absent(f"{path}: no such file") from None
            except FileNotFoundError:
                if path.is_symlink():
                    raise BadName(
                        f"{path}: a symbolic link that leads nowhere", hint="remove it"
                    ) from None
                raise
        if stat.S_ISDIR(mode):
            if path.is_symlink():
                raise BadName(
                    f"{path}: a symbolic link to a folder is not followed",
                    hint="name the folder that it leads to as another source",
                )
            raise Absent(f"{path}: no such file")
        if not stat.S_ISREG(mode):
            raise irregular(path)
        return path

    def _path(self, key: str) -> Path:
        path = self.root / key
        if not is_text(key):
            name = os.fsencode(key).decode("utf-8", "backslashreplace")
            raise BadName(
                f"{self.root}: the file name '{name}' is not UTF-8",
                hint="rename it, as convmv does for a whole folder",
            )
        inside = resolved(path).is_relative_to(self.root)
        if not inside and not (self._follow_links and ".." not in path.parts):
            raise BadName(
                f"{path}: a symbolic link leads out of {self.root}",
                hint="copy what it points to into the folder, name the target itself, or set "
                "FINETUNE_DATA__FOLLOW_LINKS=true",
            )
        return path
