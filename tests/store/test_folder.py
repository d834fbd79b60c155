"""What only a folder can get wrong: links, modes, temporary files, full disks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from job.errors import Absent, BadName, Conflict, DiskFull, Forbidden, StoreError, Unreachable
from job.store import resolve
from job.store.folder import FolderStore
from job.store.keys import check_key, safe_path
from job.store.local import os_errors, replacing
from tests.support.samples import ROOT


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"1")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    store = FolderStore(root)
    for key in ("file", "folder/secret", "folder/new"):
        for action in (store.get, store.stat, lambda key: store.put(key, b"2")):
            with pytest.raises(StoreError, match="leads out of"):
                action(key)
    assert (outside / "secret").read_bytes() == b"1"


def test_links_inside_are_followed(tmp_path: Path) -> None:
    # as a ConfigMap is mounted
    (tmp_path / "..2024").mkdir()
    (tmp_path / "..2024" / "data.csv").write_bytes(b"1")
    (tmp_path / "..data").symlink_to("..2024")
    (tmp_path / "data.csv").symlink_to("..data/data.csv")
    store = FolderStore(tmp_path)
    assert store.get("data.csv") == b"1"
    assert [item.key for item in store.list()] == ["..2024/data.csv", "data.csv"]


def test_its_own_files_are_not_listed_and_none_are_left(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / ".~left-by-a-crash").write_bytes(b"1")
    tag = store.put("a/b", b"1", if_absent=True)
    store.put("a/b", b"2", if_tag=tag)
    assert [item.key for item in store.list()] == ["a/b"]
    assert names(tmp_path / "a") == [".~lock", "b"]


def test_deleting_the_last_file_removes_the_folder(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "root")
    store.put("a/b/c", b"1")
    store.put("a/d", b"1")
    store.delete(["a/b/c"])
    assert names(tmp_path / "root" / "a") == ["d"]
    store.delete(["a/d"])
    assert names(tmp_path / "root") == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a", b"1")
    with pytest.raises(StoreError, match="cannot hold both"):
        store.put("a/b", b"1")
    store.put("c/d", b"1")
    with pytest.raises(StoreError, match="cannot hold both"):
        store.put("c", b"1")
    assert names(tmp_path) == ["a", "c"]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="full"), replacing(path) as name:
        name.write_bytes(b"ne")
        raise OSError(errno.ENOSPC, "full")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_named() -> None:
    with pytest.raises(DiskFull), os_errors("x"), Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"1")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOENT, Absent),
        (errno.EACCES, Forbidden),
        (errno.EROFS, Forbidden),
        (errno.EDQUOT, DiskFull),
        (errno.EIO, Unreachable),
        (errno.ESTALE, Unreachable),
        (errno.ETIMEDOUT, Unreachable),
    ],
)
def test_the_systems_errors(code: int, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, os_errors("x"):
        raise OSError(code, os.strerror(code))
    assert type(caught.value) is expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_forbidden(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a/b", b"1")
    (tmp_path / "a").chmod(0)
    try:
        for action in (lambda: store.get("a/b"), lambda: list(store.list())):
            with pytest.raises(Forbidden):
                action()
    finally:
        (tmp_path / "a").chmod(0o755)


def test_names() -> None:
    for key in ("a", "a/b.c", ".hidden", "..data/x", "a b", "2024-01-01T10:00", "é/日本"):
        assert check_key(key) == key
    for key in (".", "..", "a/.", "./a", "c:\\x", "c:x", "//x"):
        with pytest.raises(StoreError):
            check_key(key)


def test_safe_path_follows_a_root_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert safe_path(tmp_path / "link", "a/b") == (tmp_path / "real" / "a" / "b").resolve()


def test_names_that_leave_their_folder_are_no_reason_to_try_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "rows.csv").write_text("text")
    (tmp_path / "data" / "rows.csv").symlink_to("../rows.csv")
    with pytest.raises(BadName, match="copy what it points to") as caught:
        resolve(str(tmp_path / "data" / "rows.csv"))
    assert caught.value.exit_code == 65
    with pytest.raises(BadName, match="does not stay in its folder"):
        check_key("../rows.csv")


WRITER = """
import sys, time
from pathlib import Path
from job.store.local import temporary
with temporary(Path(sys.argv[1])) as name:
    name.write_bytes(b"half of it")
    print(name.name, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_writer_left_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("m/state.json", b"1", if_tag=store.put("m/state.json", b"0"))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "m/runs/r/model")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout is not None
        name = writer.stdout.readline().strip()
        for superseded in (False, True):
            assert store.sweep("m", superseded=superseded) == 0
        assert names(tmp_path / "m/runs/r") == [name]
    finally:
        writer.kill()
        writer.wait()
    assert [item.key for item in store.list()] == ["m/state.json"]
    other = tmp_path / "m/runs/r/.~0ther-0123456789abcdef"  # written on another machine
    other.touch()
    assert store.sweep("m/other", superseded=True) == 0
    assert store.sweep("m", superseded=False) == 1
    assert names(tmp_path / "m/runs/r") == [other.name]
    assert store.sweep("m", superseded=True) == 1
    assert names(tmp_path / "m") == [".~lock", "state.json"], "the emptied folders are gone too"


def test_a_writer_whose_file_was_swept_is_told_that_it_was_overtaken(tmp_path: Path) -> None:
    """75: 66 would end the Job that its successor runs in."""
    with pytest.raises(Conflict), replacing(tmp_path / "file") as name:
        name.unlink()
    assert names(tmp_path) == []
