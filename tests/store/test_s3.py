"""What only S3 can get wrong: credentials, buckets, versions, answers lost on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from job.errors import (
    Absent,
    Conflict,
    Forbidden,
    SettingsError,
    Torn,
    Unreachable,
)
from job.store import open_store
from job.store.probe import probe_conditional_writes
from job.store.s3 import S3Store
from tests.support.relay import Relay, relay
from tests.support.servers import Server


@pytest.fixture
def relayed(s3_env: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    with relay("127.0.0.1", s3_env.ports[3]) as state:
        monkeypatch.setenv("AWS_ENDPOINT_URL", state.url)
        yield state


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_PROFILE", "none")],
)
def test_wrong_credentials_are_forbidden(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    store = open_store(bucket)
    for action in (
        lambda: store.stat("nothing"),
        lambda: store.get("nothing"),
        lambda: list(store.list()),
        lambda: store.put("key", b"1"),
        lambda: store.put("key", b"1", if_absent=True),
        lambda: store.upload(Path(__file__), "key"),
        lambda: store.download("nothing", tmp_path / "got"),
        lambda: store.delete(["key"]),
    ):
        with pytest.raises(Forbidden):
            action()


def test_no_credentials_are_forbidden(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Forbidden):
        open_store(bucket).get("key")


def test_who_may_only_read_may_not_write(
    bucket: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_store(bucket).put("key", b"1")
    for name, value in s3_server.reader_env.items():
        monkeypatch.setenv(name, value)
    store = open_store(bucket)
    assert store.get("key") == b"1"
    with pytest.raises(Absent):
        store.get("nothing")
    large = tmp_path / "large"
    large.write_bytes(b"1" * 9_000_000)
    for action in (
        lambda: store.put("key", b"2"),
        lambda: store.put("new", b"2", if_absent=True),
        lambda: store.upload(large, "large"),
        lambda: store.delete(["key"]),
        lambda: probe_conditional_writes(store),
    ):
        with pytest.raises(Forbidden):
            action()


def test_a_missing_bucket_is_named_as_such(s3_env: Server, tmp_path: Path) -> None:
    store = open_store("s3://no-such-bucket/prefix")
    for action in (
        lambda: store.stat("key"),
        lambda: store.get("key"),
        lambda: list(store.list()),
        lambda: store.put("key", b"1"),
        lambda: store.put("key", b"1", if_absent=True),
        lambda: store.upload(Path(__file__), "key"),
        lambda: store.download("key", tmp_path / "got"),
    ):
        with pytest.raises(Absent, match="the bucket does not exist"):
            action()


def test_a_missing_key_is_named_as_such(bucket: str) -> None:
    with pytest.raises(Absent, match="key: no such key"):
        open_store(bucket).stat("key")


def test_an_endpoint_that_does_not_answer_is_unreachable(
    s3_env: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    store = open_store("s3://bucket/prefix")
    started = time.monotonic()
    for action in (
        lambda: store.get("key"),
        lambda: list(store.list()),
        lambda: store.put("key", b"1", if_absent=True),
        lambda: store.upload(Path(__file__), "key"),
        lambda: store.download("key", tmp_path / "got"),
    ):
        with pytest.raises(Unreachable):
            action()
    assert time.monotonic() - started < 10


def test_a_malformed_endpoint_is_a_mistake_in_the_settings(
    s3_env: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL"):
        open_store("s3://bucket").get("key")


def test_a_host_name_as_endpoint_and_no_region(
    bucket: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url.replace("127.0.0.1", "localhost"))
    store = open_store(bucket)
    store.put("key", b"1")
    assert store.get("key") == b"1"


@pytest.fixture(params=["creating", "replacing"])
def condition(request: pytest.FixtureRequest, bucket: str) -> dict[str, Any]:
    """What a write of `state` goes by: there is none, or it is still what it is."""
    creating = request.param == "creating"
    return {"if_absent": True} if creating else {"if_tag": open_store(bucket).put("state", b"old")}


def test_a_write_whose_answer_was_lost_is_ones_own(
    bucket: str, relayed: Relay, condition: dict[str, Any]
) -> None:
    store = open_store(bucket)
    relayed.seen.clear()
    relayed.drop["PUT"] = 1
    new = store.put("state", b"nonce", **condition)
    assert store.read("state") == (b"nonce", new)
    assert relayed.seen[:2] == [("PUT", 200), ("PUT", 412)]


def test_a_write_that_met_another_request_is_tried_again(
    bucket: str, relayed: Relay, condition: dict[str, Any]
) -> None:
    """409 is not 412: nothing has been written, and a second try may succeed."""
    store = open_store(bucket)
    relayed.collide["PUT"] = 1
    new = store.put("state", b"nonce", **condition)
    assert store.read("state") == (b"nonce", new)
    relayed.collide["PUT"] = 1
    with pytest.raises(Conflict, match="written by somebody else"):
        store.put("state", b"late", **condition)


@pytest.mark.parametrize("size", [1_000, 20_000_000])
def test_a_body_that_breaks_off_is_read_again(
    bucket: str, relayed: Relay, tmp_path: Path, size: int
) -> None:
    store = open_store(bucket)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    store.upload(source, "data")
    relayed.cut["GET"] = 2
    store.download("data", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == source.read_bytes()
    relayed.cut["GET"] = 1
    assert store.get("data") == source.read_bytes()
    assert relayed.cut["GET"] == 0


@pytest.mark.parametrize("size", [10, 9_000_000])
def test_an_older_version_is_found_by_its_identity(
    bucket: str, s3_env: Server, tmp_path: Path, size: int
) -> None:
    s3_env.client().put_bucket_versioning(
        Bucket=bucket.removeprefix("s3://"), VersioningConfiguration={"Status": "Enabled"}
    )
    store = open_store(f"{bucket}/prefix")
    source = tmp_path / "source"
    for content in (b"1", b"2"):
        source.write_bytes(content * size)
        store.upload(source, "data")
        store.upload(source, "data-2")
        if content == b"1":
            old = store.stat("data").identity
    store.download("data", tmp_path / "got", identity=old)
    assert (tmp_path / "got").read_bytes() == b"1" * size
    assert next(store.list()).identity == store.stat("data").identity != old
    probe_conditional_writes(store)


def test_the_whole_bucket_as_a_store(bucket: str) -> None:
    name = bucket.removeprefix("s3://")
    S3Store(name).put("a/b", b"1")
    S3Store(name).client.put_object(Bucket=name, Key="a/marker/", Body=b"")
    assert [item.key for item in S3Store(name).list()] == ["a/b"]
    assert [item.key for item in S3Store(name, "/a/").list()] == ["b"]
    probe_conditional_writes(S3Store(name))
    assert [item.key for item in S3Store(name).list()] == ["a/b"]


def test_uploads_that_were_never_completed_are_aborted_by_who_follows(bucket: str) -> None:
    name = bucket.removeprefix("s3://")
    client = S3Store(name).client
    for key in ("m/runs/r/a", "m/runs/r2/b"):
        client.create_multipart_upload(Bucket=name, Key=key)
    store = open_store(bucket)
    assert store.sweep("m", superseded=False) == 0
    assert store.sweep("m/runs/r/", superseded=True) == 1
    left = client.list_multipart_uploads(Bucket=name)["Uploads"]
    assert [upload["Key"] for upload in left] == ["m/runs/r2/b"]
    assert store.sweep("m/", superseded=True) == 1


def test_what_a_file_holds_is_known_without_reading_it(
    bucket: str, relayed: Relay, tmp_path: Path
) -> None:
    """By the checksum that the store reports, of what travels in one piece and in parts."""
    store = open_store(bucket)
    for size in (0, 10, 8 << 20, 20_000_000):
        (tmp_path / "file").write_bytes(os.urandom(size))
        store.upload(tmp_path / "file", "file")
        relayed.seen.clear()
        assert store.confirm(tmp_path / "file", "file") == store.stat("file")
        assert {method for method, _ in relayed.seen} == {"HEAD"}
        (tmp_path / "file").write_bytes(os.urandom(size) or b"1")
        with pytest.raises(Torn):
            store.confirm(tmp_path / "file", "file")
