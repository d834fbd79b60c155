"""One file on a web server, read through the same protocol as a store with one object."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from job.data.artifacts import file_sha256
from job.errors import Absent, BadName, Forbidden, SettingsError, StoreError, Unreachable
from job.store.base import Object
from job.store.keys import check_key
from job.store.local import os_errors, replacing
from job.store.rate import LeastRate
from job.uris import Uri

if TYPE_CHECKING:
    import httpx

MOST = 64 << 30
"""Bytes of a body that comes without a promise of how many there will be."""
MOST_REDIRECTS = 20


class HttpReader:
    """The file at an https:// or http:// address; its key is the last part of the path.

    The identity is a strong ETag, else Last-Modified and length, else the SHA-256 of the content
    (which `stat` then has to download).

    A redirect is followed to the same server, or to one that is allowed, and never from https to
    http. The body must be as long as the server says, and come at a least rate.

    Args:
        url: the address; its user info and query are used.
        redirect_hosts: the servers to which it may send on; `*.` stands for any name below a domain.
    """

    def __init__(self, url: Uri | str, redirect_hosts: Sequence[str] = ()) -> None:
        self._url = Uri.of(url)
        self._redirect_hosts = redirect_hosts
        folder, _, name = self._url.without_secrets.rpartition("/")
        self.uri = Uri(folder)
        self.key = _key(name)

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
                for chunk in self._body(response):
                    file.write(chunk)
                named = _identity(response.headers)
            if identity and identity != (named or f"sha256:{file_sha256(name)}"):
                raise Absent(f"{self._url} has changed since it was recorded")

    def _body(self, response: httpx.Response) -> Iterator[bytes]:
        """The bytes as they come, of which there must be as many as were promised.

        Raises:
            StoreError: the answer does not say where it ends.
            Unreachable: there are more or fewer, or they come too slowly.
        """
        promised = response.headers.get("content-length")
        if promised is None and "chunked" not in response.headers.get("transfer-encoding", ""):
            raise StoreError(
                f"{self._url}: the server does not say how long the file is, so that nobody could "
                "tell if it were cut short",
                hint="copy the file to a bucket or a folder",
            )
        most = MOST if promised is None else int(promised)
        rate, count = LeastRate(str(self._url)), 0
        for chunk in response.iter_raw():
            count += len(chunk)
            rate.add(len(chunk))
            if count > most:
                break
            yield chunk
        if count > most or (promised is not None and count < most):
            raise Unreachable(
                f"{self._url}: {count:,} bytes came, {most:,} were promised",
                hint="the server, or a proxy before it, is in trouble; try later",
            )

    @contextmanager
    def _open(self) -> Iterator[httpx.Response]:
        """The answer; errors while its body is read, too, become the store's."""
        import httpx

        try:
            with httpx.Client(timeout=httpx.Timeout(30, connect=10)) as client:
                # the bytes as they lie on the server: a .gz is not to be unpacked on the way
                headers = {"Accept-Encoding": "identity"}
                request = client.build_request("GET", self._url.secret, headers=headers)
                with closing(self._sent(client, request)) as response:
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

    def _sent(self, client: httpx.Client, request: httpx.Request) -> httpx.Response:
        """The answer to a request, after the redirects that are allowed."""
        for _ in range(MOST_REDIRECTS):
            response = client.send(request, stream=True)
            if response.next_request is None:
                return response
            response.close()
            self._check_redirect(request.url, response.next_request.url)
            request = response.next_request
        raise Unreachable(
            f"{self._url}: more than {MOST_REDIRECTS} redirects",
            hint="check the address",
            passing=False,
        )

    def _check_redirect(self, before: httpx.URL, after: httpx.URL) -> None:
        """
        Raises:
            SettingsError: it is not allowed.
        """
        if before.scheme == "https" and after.scheme != "https":
            raise SettingsError(
                f"{self._url}: the server sends on from https to {after.scheme}://{after.host}",
                hint="name an address that stays with https",
            )
        if after.host != before.host and not self._is_allowed(after.host):
            raise SettingsError(
                f"{self._url}: the server sends on to {after.host}",
                hint=f"if that is right, add {after.host} to FINETUNE_DATA__REDIRECT_HOSTS",
            )

    def _is_allowed(self, host: str) -> bool:
        return any(
            host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed
            for allowed in map(str.lower, self._redirect_hosts)
        )

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


def _key(name: str) -> str:
    """The last part of an address as a key; as it is written, where what it stands for is none."""
    try:
        return check_key(unquote(name)) if name else "index"
    except BadName:
        return name


def _identity(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return f"etag:{etag}"
    if "last-modified" in headers and "content-length" in headers:
        return f"modified:{headers['last-modified']}:{headers['content-length']}"
    return None
