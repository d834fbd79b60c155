"""From a URI to what it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from job.errors import Conflict, InputMissing, SettingsError
from job.store import open_reader, open_store, resolve
from job.store.patterns import compiled
from job.store.s3 import S3Store

NAMES = [
    "data/a.csv",
    "data/b.csv.gz",
    "data/[x].csv",
    "data/_SUCCESS",
    "data/.hidden.csv",
    "data/deep/c.csv",
    "data/deep/er/d.csv",
    "data/_temporary/e.csv",
    "database.csv",
]


EXPECTED = [
    ("data/a.csv", ["data/a.csv"]),
    ("data/*.csv", ["data/[x].csv", "data/a.csv"]),
    ("data/?.csv*", ["data/a.csv", "data/b.csv.gz"]),
    ("data/[!b-z].csv", ["data/a.csv"]),
    ("data/**/*.csv", ["data/[x].csv", "data/a.csv", "data/deep/c.csv", "data/deep/er/d.csv"]),
    ("data/**/[cd].csv", ["data/deep/c.csv", "data/deep/er/d.csv"]),
    ("data/deep/**", ["data/deep/c.csv", "data/deep/er/d.csv"]),
    ("d*/deep/*.csv", ["data/deep/c.csv"]),
    ("data/[x].csv", ["data/[x].csv"]),
    ("data/_SUCCESS", ["data/_SUCCESS"]),
    ("data/deep/", ["data/deep/c.csv", "data/deep/er/d.csv"]),
    ("data/deep", ["data/deep/c.csv", "data/deep/er/d.csv"]),
    (
        "data/",
        [
            "data/[x].csv",
            "data/a.csv",
            "data/b.csv.gz",
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
