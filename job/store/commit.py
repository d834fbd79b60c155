"""How a set of files becomes an artifact: files first, manifest last.

Nothing without a manifest counts, so a writer may die at any point. The files are stored under a
key with the number of the attempt, so a writer that has been superseded leaves garbage, not damage.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from job.data.artifacts import file_sha256
from job.errors import Absent, Conflict, Garbled, SettingsError, StoreError, Torn
from job.store.base import Object, Reader, Store
from job.store.keys import below, check_key, safe_path
from job.store.local import os_errors
from job.store.manifest import MANIFEST, File, Manifest, encoded, load

__all__ = [
    "MANIFEST",
    "File",
    "Manifest",
    "commit",
    "fetch",
    "lay_out",
    "load",
    "own_number",
    "seal",
    "settle",
    "upload",
    "verify",
    "withdraw",
]

T = TypeVar("T")

UPLOADS = 3
"""How often a file is uploaded before a store is believed to lose it."""
_PARALLEL = 4


def commit(
    store: Store,
    prefix: str,
    files: Mapping[str, Path],
    *,
    attempt: int | None,
    meta: Mapping[str, Any],
    exists_ok: bool = False,
) -> Manifest:
    """Upload local files as the artifact `prefix`, then its manifest if there is none.

    Args:
        files: the local file for each name; a name may have folders in it.
        attempt: they are stored as `prefix/a0003/<name>`; None stores them as `prefix/<name>`,
            for places that only one writer ever uses.
        meta: what else the manifest says; anything that JSON can hold.
        exists_ok: return an artifact that already exists as it is, or replace it where it is damaged.

    Raises:
        Conflict: the artifact already exists, or somebody else's manifest came first.
        Torn: it exists and is damaged, or the store does not keep what it is given.
        Garbled: it exists, and cannot be read.
    """
    try:
        load(store, prefix)
        if not exists_ok:
            raise Conflict(f"{store.uri}/{prefix} has already been committed")
        return verify(store, prefix, deep=True)
    except Absent:
        pass
    except Torn:
        if not exists_ok:
            raise
    manifest = upload(store, prefix, files, attempt=attempt, meta=meta)
    return settle(store, prefix, manifest) if exists_ok else seal(store, prefix, manifest)


def upload(
    store: Store,
    prefix: str,
    files: Mapping[str, Path],
    *,
    attempt: int | None,
    meta: Mapping[str, Any],
) -> Manifest:
    """The first half of `commit`: the files are in the store, and nothing refers to them yet.

    Raises:
        Torn: the store holds something else than it was given, also when it is given it again.
    """
    listed = dict(_each(files.items(), lambda item: _upload(store, prefix, attempt, *item)))
    return Manifest(listed, dict(meta), secrets.token_hex(16))


def seal(store: Store, prefix: str, manifest: Manifest) -> Manifest:
    """The second half of `commit`: the manifest makes the uploaded files an artifact.

    Raises:
        Conflict: there already is another one.
    """
    store.put(below(prefix, MANIFEST), encoded(manifest), if_absent=True)
    return manifest


def settle(store: Store, prefix: str, manifest: Manifest) -> Manifest:
    """The manifest that is in force: this one, or that of a whole artifact which came first.

    One that came first and is damaged is replaced, by compare-and-swap. Its files are not touched:
    they lie under keys of their writer's own.

    Raises:
        Conflict: somebody else has replaced it meanwhile.
        Garbled: it cannot be read, and whether it is damaged is not known.
    """
    try:
        return seal(store, prefix, manifest)
    except Conflict:
        _, tag = store.read(below(prefix, MANIFEST))
    try:
        return verify(store, prefix, deep=True)
    except Torn:
        store.put(below(prefix, MANIFEST), encoded(manifest), if_tag=tag)
        return manifest


def own_number() -> int:
    """In place of an attempt's number, where writers that know nothing of each other may meet."""
    return secrets.randbelow(10**9)


def fetch(
    store: Reader,
    prefix: str,
    folder: Path,
    names: Collection[str] | None = None,
    *,
    manifest: Manifest | None = None,
) -> Manifest:
    """Download the artifact's files to `folder/<name>` and verify them.

    A file that already exists with the right content is not downloaded again.

    Args:
        names: only these; None means all.
        manifest: of files that are uploaded but not sealed; None loads the artifact's.

    Raises:
        Absent: there is no artifact.
        Torn: a file is missing, differs from the manifest, or the manifest lacks a name.
        Garbled: a file arrives damaged again and again.
    """
    manifest = manifest or load(store, prefix)
    wanted = manifest.files if names is None else {name: manifest.files.get(name) for name in names}

    def get(item: tuple[str, File | None]) -> None:
        name, file = item
        if file is None:
            raise Torn(f"{store.uri}/{prefix}: the manifest has no {name}")
        path = safe_path(folder, name)
        if not (path.is_file() and _same(path, file)):
            _download(store, prefix, file, path)

    _each(wanted.items(), get)
    return manifest


def verify(store: Reader, prefix: str, *, deep: bool = False) -> Manifest:
    """The manifest of an artifact, all of whose files the store describes as when they were uploaded.

    Args:
        deep: download each file and compare its SHA-256, whatever the store says of it.

    Raises:
        Absent: there is no artifact.
        Torn: a file is missing or differs from the manifest.
        Garbled: a file arrives damaged again and again.
    """
    manifest = load(store, prefix)

    def check(file: File) -> None:
        if deep or not _is_as_uploaded(store, prefix, file):
            with tempfile.TemporaryDirectory() as folder:
                _download(store, prefix, file, Path(folder, "file"))

    _each(manifest.files.values(), check)
    return manifest


def lay_out(store: Store, prefix: str, manifest: Manifest) -> None:
    """Copy the artifact's files to `prefix/<name>`, for readers that know no manifests: always from what
    is committed, so that several who do it leave the same.

    Raises:
        Torn: a file is missing or differs from the manifest, or the store does not keep what it is given.
        Garbled: a file arrives damaged again and again.
    """
    elsewhere = {name: file for name, file in manifest.files.items() if file.key != name}
    with tempfile.TemporaryDirectory() as folder:
        fetch(store, prefix, Path(folder), elsewhere, manifest=manifest)
        for name in elsewhere:
            _keep(store, Path(folder, name), below(prefix, name))


def withdraw(store: Store, prefix: str) -> None:
    """Remove an artifact: its manifest first, then all that lies below `prefix`.

    What no longer exists is not an error, so an interrupted removal can be repeated.

    Raises:
        SettingsError: the prefix is empty, and this would empty the store.
    """
    if not prefix.strip("/"):
        raise SettingsError(f"{store.uri}: only an artifact can be removed, not the whole store")
    store.delete([below(prefix, MANIFEST)])
    store.delete([item.key for item in store.list(f"{prefix.strip('/')}/")])


def _upload(
    store: Store, prefix: str, attempt: int | None, name: str, path: Path
) -> tuple[str, File]:
    key = check_key(name if attempt is None else f"a{attempt:04d}/{name}")
    if key == MANIFEST:
        raise StoreError(f"{MANIFEST} is the manifest's own name")
    with os_errors(str(path)):
        file = File(key, path.stat().st_size, file_sha256(path))
    return name, replace(file, identity=_keep(store, path, below(prefix, key)).identity)


def _keep(store: Store, path: Path, key: str) -> Object:
    """Upload a file until the store holds it.

    Raises:
        Torn: it holds something else each time.
    """
    message = ""
    for _ in range(UPLOADS):
        store.upload(path, key)
        try:
            return store.confirm(path, key)
        except Torn as error:
            message = error.message
    hint = "the store does not keep what it is given; check what lies between this pod and it"
    raise Torn(message, hint=hint)


def _is_as_uploaded(store: Reader, prefix: str, file: File) -> bool:
    """Whether the store describes a file as when it was uploaded; if not, its content tells.

    Raises:
        Torn: it is missing, or has another size.
    """
    key = below(prefix, file.key)
    try:
        stored = store.stat(key)
    except Absent as error:
        raise Torn(f"{store.uri}/{key} is missing") from error
    if stored.size != file.size:
        raise Torn(f"{store.uri}/{key} has {stored.size} bytes instead of {file.size}")
    return stored.identity == file.identity


def _download(store: Reader, prefix: str, file: File, path: Path) -> None:
    key = below(prefix, file.key)
    for _ in range(2):  # one wrong answer condemns nothing
        try:
            store.download(key, path)
        except Absent as error:
            raise Torn(f"{store.uri}/{key} is missing") from error
        if _same(path, file):
            return
        path.unlink()
    if file.identity and _is_as_uploaded(store, prefix, file):
        raise Garbled(f"{store.uri}/{key} arrives damaged, though the store holds it unchanged")
    raise Torn(f"{store.uri}/{key} is not what its manifest says")


def _same(path: Path, file: File) -> bool:
    with os_errors(str(path)):
        return path.stat().st_size == file.size and file_sha256(path) == file.sha256


def _each(items: Iterable[Any], work: Callable[[Any], T]) -> list[T]:
    """Do `work` on every item, a few at a time; the first error ends it."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        try:
            return list(pool.map(work, items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
