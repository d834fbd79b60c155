"""The fetch stage: what is found, frozen, brought here and read."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import pytest

from job.data.arrow import stream
from job.data.artifacts import FILE, RawRows, Split
from job.errors import InputMissing, Stopped, Unreachable
from job.runtime.stop import polling
from job.settings import Data
from job.stages.fetch import fetch, files, resolve_inputs
from job.store import open_store
from job.store.s3 import S3Store


def make(**settings: Any) -> Data:
    return Data(**settings)


def nothing() -> None:
    pass


def texts_of(raw: RawRows, split: Split = "train") -> list[str]:
    paths = raw.tables[split]
    return [row["text"] for path in paths for b in stream(path) for row in b.to_pylist()]


def write(path: Path, *texts: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def test_sources_keep_their_order_and_their_weight(tmp_path: Path) -> None:
    write(tmp_path / "z.txt", "z")
    write(tmp_path / "many/b.txt", "b")
    write(tmp_path / "many/a.txt", "a")
    write(tmp_path / "many/_SUCCESS")
    write(tmp_path / "test.txt", "t")
    train = [{"uri": str(tmp_path / "z.txt"), "weight": 2}, str(tmp_path / "many")]
    data = make(train=train, test=str(tmp_path / "test.txt"))
    inputs = resolve_inputs(data)
    raw = fetch(data, inputs, tmp_path / "scratch")
    assert [Path(name).name for name in raw.files] == ["z.txt", "a.txt", "b.txt", "test.txt"]
    assert raw.weights == (2, 1, 1, 1)
    assert texts_of(raw) == ["z", "a", "b"] and texts_of(raw, "test") == ["t"]
    assert resolve_inputs(data) == inputs


def test_a_file_that_two_sources_name_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "a")
    data = make(train=[str(tmp_path / "a.txt"), str(tmp_path / "*.txt")])
    assert len(resolve_inputs(data).files) == 1


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        resolve_inputs(make(train=str(tmp_path / "*.csv")))


@pytest.mark.parametrize("gone", [True, False])
def test_a_local_file_that_changed_since_it_was_frozen(tmp_path: Path, gone: bool) -> None:
    path = write(tmp_path / "a.txt", "a")
    data = make(train=str(path))
    inputs = resolve_inputs(data)
    path.unlink() if gone else write(path, "b")
    with pytest.raises(InputMissing, match="no longer" if gone else "changed") as caught:
        fetch(data, inputs, tmp_path / "scratch")
    assert caught.value.exit_code == 66


def test_a_limit_counts_rows_of_each_split(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", "text", "1", "2,", "3", "4")
    two = write(tmp_path / "b.csv", "text", *map(str, range(20_000)))
    data = make(train=[str(one), str(two)], test=str(two))
    raw = fetch(data, resolve_inputs(data), tmp_path / "scratch", limit=3)
    assert (raw.read, raw.bad) == ({"train": 3, "test": 3}, {"train": 1, "test": 0})
    assert texts_of(raw) == ["1", "3"] and texts_of(raw, "test") == ["0", "1", "2"]


def test_poll_stops_in_the_middle_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text", *map(str, range(50_000)))
    calls = 0

    def poll() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise Stopped("stop")

    data = make(train=str(path))
    with pytest.raises(Stopped), polling(poll):
        fetch(data, resolve_inputs(data), tmp_path / "scratch")
    assert calls == 5


def test_rows_know_their_file(tmp_path: Path) -> None:
    write(tmp_path / "d/a.csv", "text", "1")
    write(tmp_path / "d/b.csv", "text", "2")
    data = make(train=f"{tmp_path / 'd'}/")
    raw = fetch(data, resolve_inputs(data), tmp_path / "scratch")
    batches = [batch for path in raw.tables["train"] for batch in stream(path)]
    assert [Path(raw.files[b.column(FILE)[0].as_py()]).name for b in batches] == ["a.csv", "b.csv"]


def test_objects_are_downloaded_and_deleted_after_use(tmp_path: Path, bucket: str) -> None:
    store = open_store(bucket)
    for i in range(8):
        store.put(f"d/{i}.txt.gz", gzip.compress(f"row {i}\n".encode()))
    data = make(train=f"{bucket}/d/*.txt.gz", test=f"{bucket}/d/0.txt.gz")
    inputs = resolve_inputs(data)
    raw = fetch(data, inputs, tmp_path / "scratch")
    assert texts_of(raw) == [f"row {i}" for i in range(8)] and texts_of(raw, "test") == ["row 0"]
    assert raw.files[0] == f"{bucket}/d/0.txt.gz"
    assert not list((tmp_path / "scratch").glob("download-*"))


def test_keys_with_characters_that_mean_something_elsewhere(tmp_path: Path, bucket: str) -> None:
    store = open_store(bucket)
    for name in ("who?.txt", "me@home.txt", "a b#1.txt"):
        store.put(f"d/{name}", name.encode())
    data = make(train=f"{bucket}/d/")
    raw = fetch(data, resolve_inputs(data), tmp_path / "scratch")
    assert raw.files == tuple(f"{bucket}/d/{text}" for text in texts_of(raw))
    assert len(raw.files) == 3


@pytest.mark.parametrize("gone", [True, False])
def test_an_object_that_changed_since_it_was_frozen(
    tmp_path: Path, bucket: str, gone: bool
) -> None:
    store = open_store(bucket)
    for name in "ab":
        store.put(f"d/{name}.txt", b"one\n")
    data = make(train=f"{bucket}/d/")
    inputs = resolve_inputs(data)
    store.delete(["d/b.txt"]) if gone else store.put("d/b.txt", b"two\n")
    with pytest.raises(InputMissing, match=r"d/b\.txt.*no longer") as caught:
        fetch(data, inputs, tmp_path / "scratch")
    assert caught.value.exit_code == 66


def test_with_a_limit_one_file_is_downloaded_at_a_time(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(bucket)
    for name in "abcd":
        store.put(f"{name}.txt", f"{name}1\n{name}2\n".encode())
    asked: list[str] = []
    real = S3Store.download

    def download(self: S3Store, key: str, path: Path, *, identity: str | None = None) -> None:
        asked.append(key)
        real(self, key, path, identity=identity)

    monkeypatch.setattr(S3Store, "download", download)
    data = make(train=f"{bucket}/*.txt")
    raw = fetch(data, resolve_inputs(data), tmp_path / "scratch", limit=3)
    assert texts_of(raw) == ["a1", "a2", "b1"]
    assert asked == ["a.txt", "b.txt"]


def test_a_download_that_drips_is_not_waited_for(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(bucket).put("a.txt", b"a\n")
    data = make(train=f"{bucket}/a.txt")
    inputs = resolve_inputs(data)

    def drip(self: S3Store, key: str, path: Path, *, identity: str | None = None) -> None:
        path.parent.mkdir(parents=True)
        for size in range(200):
            path.write_bytes(b"a" * size)
            time.sleep(0.05)

    monkeypatch.setattr(S3Store, "download", drip)
    monkeypatch.setattr(files, "SLOW_SECONDS", 0.5)
    with pytest.raises(Unreachable, match=r"a\.txt: \d+ bytes in .*too slow"):
        fetch(data, inputs, tmp_path / "scratch")
