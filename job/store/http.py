"""One file on a web server, read through the same protocol as a store with one object."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from job.data.artifacts import file_sha256
from job.errors import Absent, Forbidden, StoreError, Unreachable
from job.store.base import Object
from job.store.keys import check_key
from job.store.local import os_errors, replacing
from job.uris import Uri

if TYPE_CHECKING:
    import httpx


class HttpReader:
    """The file at an https:// or http:// address; its key is the last part of the path.

    The identity is a strong ETag, else Last-Modified and length, else the SHA-256 of the content
    (which `stat` then has to download).

    Args:
        url: the address; its user info and query are used.
    """

    def __init__(self, url: Uri | str) -> None:
        self._url = Uri.of(url)
        folder, _, name = self._url.without_secrets.rpartition("/")
        self.uri = Uri(folder)
        self.key = check_key(unquote(name)) if name else "index"

    def list(self, prefix: str = "") -> Iterator[Object]:
        """The one object, if its key begins with `prefix`."""
        if self.key.startswith(prefix):
            yield self.stat(self.key)

    def stat(self, key: str) -> Object:
        """The file's size in bytes and identity."""
        self._check(key)
        head = self._head()
        if head is not None:
            return head
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "body")
            self.download(key, path)
            return Object(key, path.stat().st_size, f"sha256:{file_sha256(path)}")

    def get(self, key: str) -> bytes:
        """The file's content."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "body")
            self.download(key, path)
            return path.read_bytes()

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        """Copy the file to `path`, replacing it whole.

        Raises:
            Absent: there is no such file, or its content is not that of `identity`.
        """
        self._check(key)
        with os_errors(str(path)):
            self._fetch(path, identity)

    def _check(self, key: str) -> None:
        if key != self.key:
            raise Absent(f"{self.uri}/{key}: only {self.key} is read from this address")

    def _head(self) -> Object | None:
        # GET, not HEAD: a signed address is good for one method
        with self._open() as response:
            size = int(response.headers.get("content-length", -1))
            identity = _identity(response.headers)
            return Object(self.key, size, identity) if identity and size >= 0 else None

    def _fetch(self, path: Path, identity: str | None) -> None:
        with replacing(path) as name:
            with self._open() as response, name.open("wb") as file:
                for chunk in response.iter_raw():
                    file.write(chunk)
                named = _identity(response.headers)
            if identity and identity != (named or f"sha256:{file_sha256(name)}"):
                raise Absent(f"{self._url} has changed since it was recorded")

    @contextmanager
    def _open(self) -> Iterator[httpx.Response]:
        """The answer; errors while its body is read, too, become the store's."""
        import httpx

        try:
            with (
                httpx.Client(
                    follow_redirects=True, timeout=httpx.Timeout(30, connect=10)
                ) as client,
                # the bytes as they lie on the server: a .gz is not to be unpacked on the way
                client.stream(
                    "GET", self._url.secret, headers={"Accept-Encoding": "identity"}
                ) as response,
            ):
                self._refuse(response.status_code)
                yield response
        except httpx.InvalidURL:  # which quotes a part of it: of a password, where one is unescaped
            raise Unreachable(
                f"{self._url}: not an address", hint="correct it", passing=False
            ) from None
        except httpx.HTTPError as error:
            raise Unreachable(
                f"{self._url}: {str(error) or type(error).__name__}",
                hint="check the address and the network",
                passing=isinstance(error, httpx.TransportError),
            ) from None

    def _refuse(self, status: int) -> None:
        where = f"{self._url}: HTTP {status}"
        if status in (404, 410):
            raise Absent(where)
        if status in (401, 403, 407, 451):
            raise Forbidden(where, hint="check the address; a signed one may have expired")
        if status in (408, 425, 429) or status >= 500:
            raise Unreachable(where, hint="the server is in trouble; try later")
        if status >= 400:
            raise StoreError(where, hint="check the address")


def _identity(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return f"etag:{etag}"
    if "last-modified" in headers and "content-length" in headers:
        return f"modified:{headers['last-modified']}:{headers['content-length']}"
    return None
