"""What every store must do, asked of each implementation."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from job.errors import Absent, Conflict, StoreError
from job.store import Store, open_store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "folder":
        yield open_store(str(tmp_path / "store"))
    else:
        yield open_store(request.getfixturevalue("bucket") + "/some/prefix")


def keys(store: Store, prefix: str = "") -> list[str]:
    return [item.key for item in store.list(prefix)]


def test_what_is_put_is_read(store: Store) -> None:
    tag = store.put("a/b.json", b"content")
    assert store.get("a/b.json") == b"content"
    assert store.read("a/b.json") == (b"content", tag)
    assert store.stat("a/b.json").size == 7
    store.put("empty", b"")
    assert store.get("empty") == b""


def test_stat_and_list_agree(store: Store) -> None:
    tag = store.put("a/b.json", b"content")
    stat = store.stat("a/b.json")
    (listed,) = store.list()
    for name in ("key", "size", "identity", "tag"):
        assert getattr(stat, name) == getattr(listed, name)
    assert stat.tag == tag


def test_list_is_in_byte_order_of_the_whole_key(store: Store) -> None:
    names = ["b/c", "b-x", "b.txt", "Z", "é", "a b+c%", "b0", "a?", "日本"]
    for name in names:
        store.put(f"p/{name}", b"1")
    expected = sorted((f"p/{name}" for name in names), key=str.encode)
    assert keys(store) == expected
    assert keys(store, "p/b") == [key for key in expected if key.startswith("p/b")]
    assert keys(store, "p/b/") == ["p/b/c"]
    assert keys(store, "nothing/") == []
    assert store.get("p/a b+c%") == b"1"


def test_a_prefix_of_another_store_is_not_this_one(store: Store) -> None:
    store.put("x", b"1")
    assert keys(open_store(str(store.uri)[:-1])) == []


def test_lists_more_than_a_page_and_deletes_it(store: Store) -> None:
    names = [f"many/{number:05d}" for number in range(1_150)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.put(name, b"1"), names))
    assert keys(store, "many/") == names
    store.delete(names)
    assert keys(store) == []


def test_delete_of_what_is_not_there(store: Store) -> None:
    store.put("a", b"1")
    store.delete(["nothing", "a"])
    store.delete([])
    assert keys(store) == []


def test_put_if_absent(store: Store) -> None:
    tag = store.put("new", b"mine", if_absent=True)
    with pytest.raises(Conflict):
        store.put("new", b"other", if_absent=True)
    assert store.read("new") == (b"mine", tag)


def test_put_if_tag(store: Store) -> None:
    first = store.put("state", b"1")
    second = store.put("state", b"2", if_tag=first)
    with pytest.raises(Conflict):
        store.put("state", b"3", if_tag=first)
    assert store.read("state") == (b"2", second)
    store.delete(["state"])
    with pytest.raises(Conflict):
        store.put("state", b"3", if_tag=second)
    assert keys(store) == []


def test_ones_own_write_is_no_conflict(store: Store) -> None:
    before = store.put("state", b"old")
    tag = store.put("new", b"nonce 1", if_absent=True)
    assert store.put("new", b"nonce 1", if_absent=True) == tag
    tag = store.put("state", b"nonce 2", if_tag=before)
    assert store.put("state", b"nonce 2", if_tag=before) == tag


@pytest.mark.parametrize("creating", [True, False])
def test_one_of_many_wins(store: Store, creating: bool) -> None:
    for round_ in range(2):
        key = f"race-{round_}"
        tag = None if creating else store.put(key, b"start")
        barrier = threading.Barrier(8)

        def write(
            number: int, key: str = key, tag: str | None = tag, barrier: threading.Barrier = barrier
        ) -> bytes | None:
            data = f"writer {number}".encode()
            barrier.wait()
            try:
                store.put(key, data, if_absent=tag is None, if_tag=tag)
            except Conflict:
                return None
            return data

        with ThreadPoolExecutor(8) as pool:
            won = [data for data in pool.map(write, range(8)) if data is not None]
        assert won == [store.get(key)]


def test_large_files_travel_whole(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    data = os.urandom(20_000_001)
    source.write_bytes(data)
    store.upload(source, "large/file")
    stat = store.stat("large/file")
    assert stat.size == len(data)
    for identity in (None, stat.identity):
        store.download("large/file", tmp_path / "out" / "got", identity=identity)
        got = (tmp_path / "out" / "got").read_bytes()
        assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["got"]


@pytest.mark.parametrize("size", [10, 9_000_000])
def test_a_stale_identity_is_absent(store: Store, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"1" * size)
    store.upload(source, "data")
    old = store.stat("data").identity
    source.write_bytes(b"2" * size)
    store.upload(source, "data")
    assert store.stat("data").identity != old
    target = tmp_path / "out" / "got"
    with pytest.raises(Absent, match="changed"):
        store.download("data", target, identity=old)
    assert list(target.parent.iterdir()) == []
    store.download("data", target)
    assert target.read_bytes() == b"2" * size


def test_absent(store: Store, tmp_path: Path) -> None:
    store.put("folder/x", b"1")
    for key in ("nothing", "folder", "folder/x/y"):
        for read in (store.stat, store.get, store.read):
            with pytest.raises(Absent):
                read(key)
        with pytest.raises(Absent):
            store.download(key, tmp_path / "out" / "got")
    with pytest.raises(Absent):
        store.upload(tmp_path / "nothing", "key")


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../b", "a//b", "a/", "a\\b", "a\0", "C:/a"])
def test_bad_keys_are_refused(store: Store, tmp_path: Path, key: str) -> None:
    (tmp_path / "file").write_bytes(b"1")
    for action in (
        lambda: store.stat(key),
        lambda: store.get(key),
        lambda: store.put(key, b"1"),
        lambda: store.upload(tmp_path / "file", key),
        lambda: store.download(key, tmp_path / "got"),
        lambda: store.delete([key]),
    ):
        with pytest.raises(StoreError, match="does not stay in its folder"):
            action()
