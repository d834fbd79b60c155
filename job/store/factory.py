"""From a URI in the settings to a store, a reader, or the objects that it names."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from job.errors import Absent, InputMissing, SettingsError
from job.store.base import Object, Reader, Store
from job.store.local import os_errors
from job.store.patterns import compiled, fixed_folder, is_hidden, is_pattern
from job.store.retrying import RetryingReader
from job.uris import Uri

WEB_ATTEMPTS = 6
HUB_ATTEMPTS = 3
"""Fewer, since the Hub's own client asks again too."""


def open_store(uri: Uri | str, *, single_writer: bool = False) -> Store:
    """The store whose root is `uri`: s3://bucket/prefix, file:///folder, or a folder's path.

    Nothing is asked of a bucket yet. With `single_writer`, no conditional writes are asked of it.

    Raises:
        SettingsError: the URI cannot be written to, or names no bucket, or names a file.
    """
    uri = Uri.of(uri)
    scheme = uri.scheme
    if scheme == "s3":
        return _s3(*uri.bucket_and_key(), single_writer=single_writer)
    if scheme == "file":
        _refuse_file(uri.path.absolute())
        return _folder(uri.path)
    raise SettingsError(
        f"{uri}: {scheme}:// can be read but not written to",
        hint="use s3://bucket/prefix or a folder",
    )


def open_reader(
    uri: Uri | str, *, redirect_hosts: Sequence[str] = (), follow_links: bool = False
) -> tuple[Reader, str]:
    """A reader, and the key or pattern below its root that a data URI names.

    The root is the last folder in the URI before any pattern character. An empty key means all
    that lies below the root. Only https:// keeps `?` for its query and knows no patterns.

    Args:
        uri: what to read.
        redirect_hosts: the servers that a web server may send on to; see HttpReader.
        follow_links: whether links may lead out of a folder.

    Raises:
        SettingsError: the scheme is unknown, or the URI names no bucket or repository.
        BadName: a path is too long, or leads in a circle.
    """
    uri = Uri.of(uri)
    scheme = uri.scheme
    if scheme == "s3":
        bucket, key = uri.bucket_and_key()
        root = fixed_folder(key)
        return _given_bucket(bucket, root), key[len(root) :]
    if scheme == "file":
        return _given(uri.path, follow_links=follow_links)
    if scheme == "hf":
        return _hub(uri)
    from job.store.http import HttpReader

    if "*" in uri.without_secrets:
        raise SettingsError(
            f"{uri}: a web server cannot be asked which files match",
            hint="name each file, or use s3://",
        )
    reader = HttpReader(uri, redirect_hosts)
    return RetryingReader(reader, WEB_ATTEMPTS), reader.key


def resolve(
    uri: Uri | str, *, redirect_hosts: Sequence[str] = (), follow_links: bool = False
) -> list[tuple[Reader, Object]]:
    """The objects that a data URI names, in key order, each with its reader.

    A key names one object, and a pattern those that match it. A prefix that ends in `/`, a folder,
    and a key that is not an object but a folder of some, name all below it whose names do not begin
    with `.` or `_`.

    Args:
        uri: what to read.
        redirect_hosts: as `open_reader`'s.
        follow_links: as `open_reader`'s.

    Raises:
        InputMissing: there is no such object, or none matches.
        Forbidden, Unreachable, SettingsError: as the reader says.
    """
    uri = Uri.of(uri)
    reader, key = open_reader(uri, redirect_hosts=redirect_hosts, follow_links=follow_links)
    try:
        objects = _matching(reader, key)
    except Absent as error:
        raise InputMissing(error.message) from error
    if not objects:
        raise InputMissing(f"{uri}: nothing matches this name")
    return [(reader, item) for item in objects]


def _matching(reader: Reader, key: str) -> list[Object]:
    if not is_pattern(key):
        return _named(reader, key)
    if not is_pattern(key, brackets=False):
        with suppress(Absent):
            if named := _named(reader, key):
                return named
    listed = list(reader.list(fixed_folder(key)))
    # brackets match as they stand where anything does; otherwise they hold characters to choose from
    for brackets in (False, True):
        pattern = compiled(key, brackets=brackets)
        if found := [item for item in listed if pattern.fullmatch(item.key)]:
            return found
    return []


def _named(reader: Reader, key: str) -> list[Object]:
    """The one object with a key, or those in the folder that it names."""
    if key and not key.endswith("/"):
        try:
            return [reader.stat(key)]
        except Absent:
            if inside := _below(reader, f"{key}/"):
                return inside
            raise
    return _below(reader, key)


def _below(reader: Reader, prefix: str) -> list[Object]:
    return [item for item in reader.list(prefix) if not is_hidden(item.key[len(prefix) :])]


def _s3(bucket: str, prefix: str, *, single_writer: bool = False) -> Store:
    from job.store.s3 import S3Store
    from job.store.s3.single_writer import SingleWriterStore

    return (SingleWriterStore if single_writer else S3Store)(bucket, prefix)


def _given_bucket(bucket: str, root: str) -> Reader:
    from job.store.s3.given import GivenBucket

    return GivenBucket(bucket, root)


def _given(path: Path, *, follow_links: bool) -> tuple[Reader, str]:
    from job.store.given_folder import GivenFolder

    with os_errors(str(path)):
        if path.is_dir():
            return GivenFolder(path, follow_links=follow_links), ""
        if path.exists() or path.is_symlink():  # a name may have brackets in it
            return GivenFolder(path.parent, follow_links=follow_links), path.name
    text = str(path)
    root = fixed_folder(text)
    folder, rest = Path(root or "."), text[len(root) :]
    # brackets may be a part of a folder's name
    while "/" in rest and (folder / rest.partition("/")[0]).is_dir():
        name, _, rest = rest.partition("/")
        folder /= name
    return GivenFolder(folder, follow_links=follow_links), rest


def _folder(path: Path) -> Store:
    from job.store.folder import FolderStore

    return FolderStore(path)


def _refuse_file(path: Path) -> None:
    """A path that is a file, or leads through one, can never become a folder."""
    with os_errors(str(path)):
        existing = next(p for p in (path, *path.parents) if p.exists())
        if not existing.is_dir():
            raise SettingsError(
                f"{existing} is a file, not a folder", hint="point FINETUNE_OUTPUT at a folder"
            )


def _hub(uri: Uri) -> tuple[Reader, str]:
    from job.store.hub import HubReader

    rest = uri.secret[len("hf://") :]
    kind = "dataset" if rest.startswith("datasets/") else "model"
    organization, _, rest = rest.removeprefix("datasets/").partition("/")
    name, _, key = rest.partition("/")
    name, _, revision = name.partition("@")
    if not organization or not name:
        raise SettingsError(
            f"{uri}: it names no repository",
            hint="write hf://datasets/organization/name[@revision]/path",
        )
    reader = HubReader(f"{organization}/{name}", kind, revision or None)
    return RetryingReader(reader, HUB_ATTEMPTS), key
