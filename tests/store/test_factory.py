"""From a URI to what it names."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from job.errors import Conflict, InputMissing, SettingsError
from job.store import open_reader, open_store, resolve
from job.store.patterns import compiled
from job.store.s3 import S3Store
from job.uris import Uri

NAMES = [
    "data/a.csv",
    "data/b.csv.gz",
    "data/[x].csv",
    "data/_SUCCESS",
    "data/.hidden.csv",
    "data/deep/c.csv",
    "data/deep/er/d.csv",
    "data/_temporary/e.csv",
    "data/deep [v2]/f.csv",
    "database.csv",
]


EXPECTED = [
    ("data/a.csv", ["data/a.csv"]),
    ("data/*.csv", ["data/[x].csv", "data/a.csv"]),
    ("data/?.csv*", ["data/a.csv", "data/b.csv.gz"]),
    ("data/[!b-z].csv", ["data/a.csv"]),
    (
        "data/**/*.csv",
        [
            "data/[x].csv",
            "data/a.csv",
            "data/deep [v2]/f.csv",
            "data/deep/c.csv",
            "data/deep/er/d.csv",
        ],
    ),
    ("data/**/[cd].csv", ["data/deep/c.csv", "data/deep/er/d.csv"]),
    ("data/deep/**", ["data/deep/c.csv", "data/deep/er/d.csv"]),
    ("d*/deep/*.csv", ["data/deep/c.csv"]),
    ("data/[x].csv", ["data/[x].csv"]),
    ("data/[a].csv", ["data/a.csv"]),
    ("data/[[]x[]].csv", ["data/[x].csv"]),
    ("data/deep [v2]/", ["data/deep [v2]/f.csv"]),
    ("data/deep [v2]/*.csv", ["data/deep [v2]/f.csv"]),
    ("data/deep [v2]/f.csv", ["data/deep [v2]/f.csv"]),
    ("data/deep [v2]", ["data/deep [v2]/f.csv"]),
    ("da*/deep [[]v2]/*", ["data/deep [v2]/f.csv"]),
    ("data/_SUCCESS", ["data/_SUCCESS"]),
    ("data/deep/", ["data/deep/c.csv", "data/deep/er/d.csv"]),
    ("data/deep", ["data/deep/c.csv", "data/deep/er/d.csv"]),
    (
        "data/",
        [
            "data/[x].csv",
            "data/a.csv",
            "data/b.csv.gz",
            "data/deep [v2]/f.csv",
            "data/deep/c.csv",
            "data/deep/er/d.csv",
        ],
    ),
]


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    uri = str(tmp_path) if request.param == "folder" else request.getfixturevalue("bucket") + "/p"
    store = open_store(uri)
    for name in NAMES:
        store.put(name, name.encode())
    return uri


def test_resolve(root: str) -> None:
    for rest, expected in EXPECTED:
        found = resolve(f"{root}/{rest}")
        assert [reader.get(item.key).decode() for reader, item in found] == expected, rest
        assert all(item.identity == reader.stat(item.key).identity for reader, item in found)


KEYS = [
    "ds//part.csv",
    "ds/part.csv",
    "/x.csv",
    "win/a\\b.csv",
    "up/../y.csv",
    "c:/z.csv",
    "50%/q.csv",
]


class ExactKeys(BaseHTTPRequestHandler):
    """A bucket that keeps keys as they are, which SeaweedFS does not; an object's content is its key."""

    def do_HEAD(self) -> None:
        self._answer(b"", self._key())

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "list-type" not in query:
            self._answer(self._key().encode(), self._key())
            return
        (prefix,) = query["prefix"]
        items = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(key)}</Size>"
            f'<ETag>"{md5(key.encode()).hexdigest()}"</ETag></Contents>'
            for key in KEYS
            if key.startswith(prefix)
        )
        listing = f"<Name>raw</Name><EncodingType>url</EncodingType>{items}"
        self._answer(f"<ListBucketResult>{listing}</ListBucketResult>".encode(), "")

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/raw/")

    def _answer(self, body: bytes, key: str) -> None:
        self.send_response(200 if key in KEYS or not key else 404)
        self.send_header("Content-Length", str(len(body or key.encode())))
        self.send_header("ETag", f'"{md5(key.encode()).hexdigest()}"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def exact_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ExactKeys) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        yield
        server.shutdown()


def test_a_key_of_s3_is_what_it_is(exact_keys: None) -> None:
    for key in KEYS:
        ((reader, item),) = resolve(f"s3://raw/{key}")
        assert reader.uri.of_key(item.key) == Uri(f"s3://raw/{key}")
        assert reader.get(item.key) == key.encode()
    for name, expected in (
        ("ds/", KEYS[:2]),
        ("ds//", KEYS[:1]),
        ("/", KEYS[2:3]),
        ("", [key for key in KEYS if "/." not in key]),
        ("ds//*.csv", KEYS[:1]),
        ("ds/**/*.csv", KEYS[:2]),
        ("*/a\\*", KEYS[3:4]),
    ):
        found = resolve(f"s3://raw/{name}")
        assert {r.uri.of_key(o.key).secret for r, o in found} == {f"s3://raw/{k}" for k in expected}


def test_nothing_there(root: str) -> None:
    for rest in ("data/no.csv", "data/*.json", "no/", "no"):
        with pytest.raises(InputMissing, match=root) as caught:
            resolve(f"{root}/{rest}")
        assert caught.value.exit_code == 66


def test_no_bucket_is_a_missing_input(s3_env: object) -> None:
    for rest in ("a.csv", "*.csv", ""):
        with pytest.raises(InputMissing, match="bucket"):
            resolve(f"s3://no-such-bucket/{rest}")


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("here").put("a.csv", b"1")
    for uri in ("here", "here/", "here/a.csv", "./here/*.csv", "*/a.csv", "here/../here/a.csv"):
        ((reader, item),) = resolve(uri)
        assert reader.get(item.key) == b"1"
    ((reader, item),) = resolve(f"file://{tmp_path}/here/a.csv")
    assert (str(reader.uri), item.key) == (str(tmp_path / "here"), "a.csv")


def test_what_cannot_be_opened() -> None:
    for uri in ("https://example.org/x", "hf://org/name", "ftp://x", "s3://"):
        with pytest.raises(SettingsError):
            open_store(uri)
    with pytest.raises(SettingsError, match=r"\*\*\*@example.org"):
        open_reader("https://user:pass@example.org/*.csv")


def test_patterns_stop_at_a_slash_and_begin_no_dot() -> None:
    assert compiled("**/a").fullmatch("a")
    assert compiled("**/a").fullmatch("x/y/a")
    assert not compiled("**/a").fullmatch("x/.git/a")
    assert not compiled("*").fullmatch("a/b")
    assert not compiled("*").fullmatch(".a")
    assert compiled(".*").fullmatch(".a")
    assert compiled("a[").fullmatch("a[")
    assert compiled("[]]").fullmatch("]")
    assert compiled("a.b+").fullmatch("a.b+")


def test_importing_stores_imports_no_sdk() -> None:
    code = (
        "import sys, job.store, job.store.commit, job.store.probe, job.store.s3, job.store.http,"
        " job.store.hub\n"
        "heavy = {'boto3', 'botocore', 's3transfer', 'httpx', 'huggingface_hub', 'tenacity'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_single_writer_asks_for_no_conditions(bucket: str) -> None:
    store = open_store(bucket, single_writer=True)
    seen: list[dict[str, object]] = []
    assert isinstance(store, S3Store)
    put = store.client.put_object

    def spied(**given: object) -> object:
        seen.append(given)
        return put(**given)

    store.client.put_object = spied
    tag = store.put("key", b"first", if_absent=True)
    assert store.put("key", b"first", if_absent=True) == tag
    with pytest.raises(Conflict, match="written by somebody else"):
        store.put("key", b"second", if_absent=True)
    second = store.put("key", b"second", if_tag=tag)
    with pytest.raises(Conflict, match="written by somebody else"):
        store.put("key", b"third", if_tag=tag)
    assert store.get("key") == b"second" and second != tag
    with pytest.raises(Conflict, match="removed by somebody else"):
        store.put("other", b"first", if_tag=tag)
    assert [given["Body"] for given in seen] == [b"first", b"second"]
    assert not any({"IfNoneMatch", "IfMatch"} & given.keys() for given in seen)
