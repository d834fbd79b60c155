"""Reading from the Hub, played by a small server that speaks the endpoints needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from job.errors import Absent, Forbidden, JobError, SettingsError, Unreachable
from job.store import open_reader
from job.store.hub import HubReader

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"data/train.csv": b"a,b\n1,2\n", "data/test.csv": b"a,b\n", "README.md": b"hello"}
REFUSALS = {
    "org/gone": (401, "RepoNotFound"),
    "org/gated": (403, "GatedRepo"),
    "org/secret": (403, ""),
    "org/branch": (404, "RevisionNotFound"),
    "org/down": (503, ""),
}


class Hub(BaseHTTPRequestHandler):
    """One dataset, org/name, and some that are refused."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        for repo, (status, code) in REFUSALS.items():
            if repo in path:
                self.answer(b"", status, {"X-Error-Code": code} if code else {})
                return
        if "/tree/" in path:
            files = [
                {"type": "file", "path": k, "size": len(v), "oid": "0"} for k, v in FILES.items()
            ]
            self.answer(
                json.dumps([*files, {"type": "directory", "path": "data", "oid": "0"}]).encode()
            )
        elif "/resolve/" in path:
            content = FILES.get(path.partition(f"/resolve/{COMMIT}/")[2])
            if content is None:
                self.answer(b"", 404, {"X-Error-Code": "EntryNotFound"})
            else:
                self.answer(content, 200, {"X-Repo-Commit": COMMIT, "ETag": '"etag"'})
        else:
            self.answer(json.dumps({"id": "org/name", "sha": COMMIT}).encode())

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        found = [
            {"type": "file", "path": path, "size": len(FILES[path]), "oid": "0"}
            for path in body["paths"]
            if path in FILES
        ]
        self.answer(json.dumps(found).encode())

    def answer(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_reads_a_dataset(hub: str, tmp_path: Path) -> None:
    reader = HubReader("org/name", endpoint=hub)
    assert [item.key for item in reader.list()] == sorted(FILES)
    assert [item.key for item in reader.list("data/")] == ["data/test.csv", "data/train.csv"]
    item = reader.stat("data/train.csv")
    assert (item.size, item.identity) == (8, f"{COMMIT}:data/train.csv")
    reader.download("data/train.csv", tmp_path / "out" / "got", identity=item.identity)
    assert (tmp_path / "out" / "got").read_bytes() == FILES["data/train.csv"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["got"]
    assert reader.get("README.md") == b"hello"
    for action in (reader.stat, reader.get):
        with pytest.raises(Absent):
            action("data/nothing.csv")


@pytest.mark.parametrize(
    ("repo", "expected"),
    [
        ("org/gone", Absent),
        ("org/gated", Forbidden),
        ("org/secret", Forbidden),
        ("org/branch", Absent),
        ("org/down", Unreachable),
        ("org/not a name", SettingsError),
    ],
)
def test_errors(hub: str, tmp_path: Path, repo: str, expected: type[JobError]) -> None:
    reader = HubReader(repo, endpoint=hub)
    for action in (
        lambda: reader.stat("x"),
        lambda: list(reader.list()),
        lambda: reader.download("x", tmp_path / "got"),
    ):
        with pytest.raises(expected):
            action()


def test_nothing_listens() -> None:
    with pytest.raises(Unreachable):
        HubReader("org/name", endpoint="http://127.0.0.1:9").stat("x")


@pytest.mark.parametrize(
    ("uri", "root", "key"),
    [
        ("hf://datasets/org/name/data/*.csv", "hf://datasets/org/name", "data/*.csv"),
        ("hf://datasets/org/name@v1.0/a.csv", "hf://datasets/org/name@v1.0", "a.csv"),
        ("hf://org/model@main", "hf://org/model@main", ""),
    ],
)
def test_addresses(uri: str, root: str, key: str) -> None:
    reader, rest = open_reader(uri)
    assert (str(reader.uri), rest) == (root, key)


def test_an_address_without_a_name() -> None:
    with pytest.raises(SettingsError):
        open_reader("hf://datasets/org")
