"""Reading from a web server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from job.data.artifacts import Inputs
from job.errors import Absent, Forbidden, InputMissing, SettingsError, StoreError, Unreachable
from job.settings import Data
from job.stages.fetch import fetch, resolve_inputs
from job.store import open_reader, rate, resolve
from job.store.http import HttpReader
from tests.support.relay import relay

ETAGS: dict[str, str] = {}


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; /status/N answers N, /to/X redirects, /circle/X to itself, and /plain/X says
    nothing of X before it sends it."""

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
        elif kind == "plain":
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            self.end_headers()
            content = Path(self.directory, kind, rest).read_bytes()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content))
        else:
            super().do_GET()

    def end_headers(self) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        if name in ETAGS:
            self.send_header("ETag", ETAGS[name])
        super().end_headers()

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
        assert len(circle.seen) == 20


def test_a_name_that_stands_for_none_is_kept_as_it_is_written() -> None:
    for name, key in (("a%20b.csv", "a b.csv"), ("a%5Cb.csv", "a%5Cb.csv"), ("%2e%2e", "%2e%2e")):
        assert HttpReader(f"https://host/{name}").key == key


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


@contextmanager
def answering(*parts: bytes, pause: float = 0) -> Iterator[str]:
    """A server that answers every request with these bytes, and then says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(65_536)
                        for part in parts:
                            connection.sendall(part)
                            time.sleep(pause)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = b"5\r\na,b\n1\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (OK + b"Content-Length: 9\r\n\r\na,b\n1", Unreachable, "without sending complete"),
        (OK + b"\r\na,b\n1", StoreError, "does not say how long the file is"),
        (
            OK + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n" + CHUNKS,
            Unreachable,
            "5 bytes came, 9 were promised",
        ),
        (
            OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + CHUNKS,
            Unreachable,
            "5 bytes came, 3 were promised",
        ),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\na,b", Unreachable, "incomplete"),
    ],
)
def test_a_body_is_as_long_as_it_was_promised(
    tmp_path: Path, answer: bytes, error: type[Exception], words: str
) -> None:
    with answering(answer) as url, pytest.raises(error, match=words):
        HttpReader(f"{url}/a.csv").download("a.csv", tmp_path / "got")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_longer_than_it_was_is_another_one(tmp_path: Path) -> None:
    head = OK + b'ETag: "1"\r\nContent-Length: '
    with answering(head + b"2\r\n\r\na\n") as url:
        data = Data(train=f"{url}/a.txt")
        (file,) = resolve_inputs(data).files
        longer = Inputs((replace(file, size=4),))
        with pytest.raises(InputMissing, match="2 bytes, 4 were recorded"):
            fetch(data, longer, tmp_path)


def test_a_drip_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "SECONDS", 0.2)
    head = OK + b"Content-Length: 100\r\n\r\n"
    with answering(head, *[b"a"] * 99, pause=0.05) as url:
        reader = HttpReader(f"{url}/a.csv")
        with pytest.raises(Unreachable, match=r"bytes in 0 s; .*too slow") as caught:
            reader.get("a.csv")
    assert caught.value.passing


@pytest.mark.parametrize(
    ("target", "allowed", "follows"),
    [
        ("http://localhost:{port}/data.csv", (), False),
        ("http://localhost:{port}/data.csv", ("LOCALHOST",), True),
        ("http://localhost:{port}/data.csv", ("*.localhost", "host"), False),
        ("http://169.254.169.254/latest/meta-data", ("*.169.254.169.254",), False),
        ("/data.csv", (), True),
    ],
)
def test_redirects_follow_a_list(
    site: str, target: str, allowed: tuple[str, ...], follows: bool
) -> None:
    place = target.format(port=site.rpartition(":")[2]) if "{" in target else target
    place = f"{site}{place}" if place.startswith("/") else place
    answer = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
    with answering(answer) as url:
        reader = HttpReader(f"{url}/data.csv", allowed)
        if follows:
            assert reader.get("data.csv") == b"a,b\n1,2\n"
            return
        with pytest.raises(SettingsError, match="REDIRECT_HOSTS") as caught:
            reader.get("data.csv")
    assert caught.value.exit_code == 78


def test_https_never_becomes_http() -> None:
    reader = HttpReader("https://example.org/a.csv", ("example.org",))
    with pytest.raises(SettingsError, match=r"from https to http://example\.org"):
        reader._check_redirect(
            httpx.URL("https://example.org/a"), httpx.URL("http://example.org/a")
        )
