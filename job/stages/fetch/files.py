"""Data files: found behind the settings' URIs, and brought to this disk ahead of their use."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from job.data.artifacts import SPLITS, Input, Inputs, Split, file_sha256
from job.errors import Absent, DataError, InputMissing
from job.runtime.stop import poll
from job.settings import Data
from job.stages.fetch.saved_folders import without_facts
from job.store.base import Object, Reader
from job.store.factory import resolve
from job.store.rate import LeastRate
from job.uris import Uri

AHEAD = 3
"""Downloads that run at the same time, the file that is waited for included."""
POLL_SECONDS = 0.2
SLOW_SECONDS = 600.0
"""How long the least rate of a download is measured. A store may have given up, and begun again, in
half of it, and parts of some MiB are seen when they are whole."""

_CHANGED = "the run reads what its first attempt found; put it back, or start a new run"

_log = logging.getLogger(__name__)


class _Stored(NamedTuple):
    """A file at a source: its URI without secrets, and where it is read from."""

    uri: str
    reader: Reader
    item: Object


def resolve_inputs(data: Data) -> Inputs:
    """Every file of every split, in the order of the sources and of the keys in each.

    A file that two sources of a split name is read once, with the weight of the first; parallel
    files are read as often as they are named.

    Raises:
        DataError: a split has more or fewer files of targets than of sources.
        InputMissing: there is nothing at a URI.
        Forbidden, Unreachable, StoreError: the store's.
    """
    files: list[Input] = []
    for split in SPLITS:
        seen: set[tuple[str, str]] = set()
        counts: list[int] = []
        targets = getattr(data, f"{split}_target")
        for source in getattr(data, split):
            stored = _files_at(source.uri, data)
            counts.append(len(stored))
            for uri, _, item in stored:
                if (uri, item.identity) in seen and not targets:
                    _log.warning("%s is in two sources of %s; it is read once", uri, split)
                    continue
                seen.add((uri, item.identity))
                files.append(Input(split, uri, item.size, item.identity, source.weight))
        for count, target in zip(counts, targets, strict=False):
            files += _targets(split, target.uri, count, data)
    return Inputs(tuple(files))


def _targets(split: Split, uri: Uri, sources: int, data: Data) -> list[Input]:
    """The files of targets at a URI, as many as there are files of sources to them."""
    stored = _files_at(uri, data)
    if len(stored) != sources:
        setting = f"FINETUNE_DATA__{split.upper()}"
        raise DataError(
            f"{setting}_TARGET finds {len(stored)} file(s) at {uri}, where {setting} finds {sources}",
            hint="each file of sources needs its file of targets, in the order of their names",
        )
    return [Input(split, name, o.size, o.identity, target=True) for name, _, o in stored]


def _files_at(uri: Uri, data: Data) -> list[_Stored]:
    """The files that a source names, in key order."""
    found = resolve(uri, redirect_hosts=data.redirect_hosts, follow_links=data.follow_links)
    return [
        _Stored(reader.uri.of_key(item.key).without_secrets, reader, item)
        for reader, item in sorted(without_facts(found, uri), key=lambda pair: pair[1].key)
        if not item.key.endswith("/")  # a folder, as S3 consoles make them
    ]


def local_copies(
    data: Data,
    inputs: Sequence[Input],
    scratch: Path,
    *,
    ahead: int = AHEAD,
) -> Iterator[tuple[Input, Path]]:
    """Each file on this disk, exactly as it was frozen.

    A download is deleted when the next file is asked for; `ahead` of them run at the same time.

    Raises:
        InputMissing: a file no longer exists, or has changed.
        Unreachable: the store's, or a download comes too slowly.
        Forbidden, StoreError: the store's.
    """
    stored = _stored_elsewhere(data, inputs)
    todo = enumerate(inputs)
    waiting: deque[_Copy] = deque()
    try:
        while True:
            while len(waiting) < ahead and (item := next(todo, None)):
                waiting.append(
                    _Copy(
                        item[1],
                        _origin(item[1], stored),
                        scratch / f"download-{item[0]:06d}" / "file",
                    )
                )
            if not waiting:
                return
            copy = waiting[0]
            yield copy.input, copy.ready()
            waiting.popleft().discard()
    finally:
        for copy in waiting:
            copy.discard()


def _stored_elsewhere(data: Data, inputs: Sequence[Input]) -> list[_Stored]:
    """The files that are not on this disk, asked for again: a signed query is needed to read and may
    not stand in a record."""
    remote = {file.split for file in inputs if not _is_local(file)}
    names = [name for split in remote for name in (split, f"{split}_target")]
    sources = dict.fromkeys(s.uri for name in names for s in getattr(data, name))
    return [file for uri in sources if uri.scheme != "file" for file in _files_at(uri, data)]


def _is_local(file: Input) -> bool:
    return Uri(file.uri).scheme == "file"


def _origin(file: Input, stored: Sequence[_Stored]) -> _Stored | None:
    """Where to download a file from; None for a local one."""
    if _is_local(file):
        return None
    candidates = [candidate for candidate in stored if candidate.uri == file.uri]
    if not candidates:
        raise InputMissing(f"{file.uri}: it no longer exists", hint=_CHANGED)
    # addresses that differ in their query alone are told apart by content
    same = (one for one in candidates if one.item.identity == file.identity)
    return next(same, candidates[0])


class _Copy:
    """One file: a local one where it lies, a remote one as a thread fetches it.

    The thread is a daemon, so that a stop does not wait for a large download.
    """

    def __init__(self, file: Input, origin: _Stored | None, path: Path) -> None:
        self.input = file
        self._path = path
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        if origin is not None:
            self._thread = threading.Thread(target=self._download, args=(origin,), daemon=True)
            self._thread.start()

    def _download(self, origin: _Stored) -> None:
        try:
            origin.reader.download(origin.item.key, self._path, identity=self.input.identity)
        except Exception as error:  # noqa: BLE001 - raised where the file is waited for
            self._error = error

    def ready(self) -> Path:
        """The file's path, once it is there."""
        if self._thread is None:
            return self._verified()
        rate, seen = LeastRate(self.input.uri, SLOW_SECONDS), 0
        while self._thread.is_alive():
            poll()
            self._thread.join(POLL_SECONDS)
            arrived = self._arrived()
            rate.add(arrived - seen)
            seen = arrived
        if isinstance(self._error, Absent):
            raise InputMissing(
                f"{self.input.uri}: it no longer exists as it was", hint=_CHANGED
            ) from self._error
        if self._error is not None:
            raise self._error
        if (size := self._path.stat().st_size) != self.input.size:
            raise InputMissing(
                f"{self.input.uri}: it has {size:,} bytes, {self.input.size:,} were recorded",
                hint=_CHANGED,
            )
        return self._path

    def _verified(self) -> Path:
        path = Uri(self.input.uri).path
        try:
            identity = file_sha256(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise InputMissing(f"{path}: it no longer exists", hint=_CHANGED) from None
        if identity != self.input.identity:
            raise InputMissing(f"{path}: it has changed since the run began", hint=_CHANGED)
        return path

    def _arrived(self) -> int:
        """The bytes that are on this disk, in the file or in what is to become it."""
        size = 0
        with suppress(FileNotFoundError):  # not begun, or just renamed
            for path in self._path.parent.rglob("*"):
                size += path.lstat().st_blocks * 512  # a file may have its size from the start
        return size

    def discard(self) -> None:
        """Delete a download."""
        if self._thread is not None:
            shutil.rmtree(self._path.parent, ignore_errors=True)
