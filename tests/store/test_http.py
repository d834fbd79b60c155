"""Reading from a web server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from job.errors import Absent, Forbidden, InputMissing, StoreError, Unreachable
from job.store import open_reader, resolve
from job.store.http import HttpReader
from tests.support.relay import relay

ETAGS: dict[str, str] = {}


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; /status/N answers N, /to/X redirects, /circle/X to itself, and /plain/X says
    nothing about X."""

    def do_HEAD(self) -> None:
        self.send_error(403)  # as for an address that was signed for GET

    def do_GET(self) -> None:
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "circle":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif kind == "status":
            self.send_error(int(rest.partition("/")[0]))
        elif kind == "to":
            self.send_response(302)
            self.send_header("Location", f"/{rest}")
            self.end_headers()
        else:
            super().do_GET()

    def end_headers(self) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        if name in ETAGS:
            self.send_header("ETag", ETAGS[name])
        super().end_headers()

    def send_header(self, keyword: str, value: str) -> None:
        if not (self.path.startswith("/plain/") and keyword in ("Last-Modified", "Content-Length")):
            super().send_header(keyword, value)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "site"
    (folder / "plain").mkdir(parents=True)
    (folder / "data.csv").write_bytes(b"a,b\n1,2\n")
    (folder / "plain" / "data.csv").write_bytes(b"a,b\n1,2\n")
    ETAGS.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["data.csv", "plain/data.csv", "to/data.csv", "data.csv?sig=s3cr"])
def test_reads_the_file(site: str, tmp_path: Path, path: str) -> None:
    ((reader, item),) = resolve(f"{site}/{path}")
    assert (item.key, item.size) == ("data.csv", 8)
    assert "s3cr" not in reader.uri.secret
    assert reader.get(item.key) == b"a,b\n1,2\n"
    reader.download(item.key, tmp_path / "out" / "got", identity=item.identity)
    assert (tmp_path / "out" / "got").read_bytes() == b"a,b\n1,2\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["got"]


@pytest.mark.parametrize(
    ("path", "etag", "expected"),
    [
        ("data.csv", '"v1"', 'etag:"v1"'),
        ("data.csv", 'W/"v1"', "modified:"),
        ("data.csv", "", "modified:"),
        ("plain/data.csv", "", "sha256:"),
    ],
)
def test_identity_changes_with_the_content(
    site: str, tmp_path: Path, path: str, etag: str, expected: str
) -> None:
    if etag:
        ETAGS["data.csv"] = etag
    reader, key = open_reader(f"{site}/{path}")
    old = reader.stat(key).identity
    assert old.startswith(expected)
    (tmp_path / "site" / path).write_bytes(b"other content")
    if etag:
        ETAGS["data.csv"] = etag.replace("1", "2")
    assert reader.stat(key).identity != old
    with pytest.raises(Absent, match="changed"):
        reader.download(key, tmp_path / "got", identity=old)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, Absent),
        (410, Absent),
        (401, Forbidden),
        (403, Forbidden),
        (503, Unreachable),
        (400, StoreError),
    ],
)
def test_errors(site: str, tmp_path: Path, status: int, expected: type[Exception]) -> None:
    url = site.replace("://", "://user:s3cr@") + f"/status/{status}/x.csv?sig=s3cr"
    reader = HttpReader(url)
    for action in (
        lambda: reader.stat(reader.key),
        lambda: reader.get(reader.key),
        lambda: reader.download(reader.key, tmp_path / "got"),
    ):
        with pytest.raises(expected) as caught:
            action()
        assert type(caught.value) is expected
        assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "passing"),
    [
        ("http://user:s3cr@127.0.0.1:9/x?sig=s3cr", True),
        ("http://user:s3cr/s3cr@127.0.0.1:9/x?sig=s3cr", False),
    ],
)
def test_nothing_listens(url: str, passing: bool) -> None:
    with pytest.raises(Unreachable) as caught:
        HttpReader(url).get("x")
    assert "s3cr" not in str(caught.value)
    assert caught.value.passing is passing


def test_a_server_that_redirects_in_circles_is_not_asked_again(site: str) -> None:
    with relay("127.0.0.1", int(site.rpartition(":")[2])) as circle:
        reader, key = open_reader(f"{circle.url}/circle/x.csv")
        with pytest.raises(Unreachable, match="redirects"):
            reader.get(key)
        assert len(circle.seen) == 21  # what httpx follows, once


def test_a_missing_file_is_a_missing_input(site: str) -> None:
    with pytest.raises(InputMissing) as caught:
        resolve(f"{site}/nothing.csv?sig=s3cr")
    assert "s3cr" not in str(caught.value)


def test_a_body_that_breaks_off_is_read_again(site: str) -> None:
    with relay("127.0.0.1", int(site.rpartition(":")[2])) as broken:
        broken.cut["GET"] = 1
        reader, key = open_reader(f"{broken.url}/data.csv")
        assert reader.get(key) == b"a,b\n1,2\n"
        assert len(broken.seen) == 2
