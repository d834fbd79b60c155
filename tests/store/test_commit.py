"""Files first, manifest last."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from job.errors import Absent, Conflict, Garbled, SettingsError, StoreError, Torn
from job.store import Store, open_store
from job.store.commit import MANIFEST, commit, fetch, load, seal, upload, verify, withdraw
from job.store.folder import FolderStore

PREFIX = "runs/1/checkpoints/step-00000120"


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    return open_store(request.getfixturevalue("bucket"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name in ("model.safetensors", "optimizer/state.json", "empty"):
        found[name] = tmp_path / "source" / name
        found[name].parent.mkdir(parents=True, exist_ok=True)
        found[name].write_bytes(b"" if name == "empty" else name.encode())
    return found


def test_what_is_committed_is_fetched(store: Store, files: dict[str, Path], tmp_path: Path) -> None:
    written = commit(store, PREFIX, files, attempt=3, meta={"step": 120})
    assert load(store, PREFIX) == written
    assert written.meta == {"step": 120}
    assert written.files["model.safetensors"].key == "a0003/model.safetensors"
    assert fetch(store, PREFIX, tmp_path / "out") == written
    for name, path in files.items():
        assert (tmp_path / "out" / name).read_bytes() == path.read_bytes()
    assert verify(store, PREFIX) == verify(store, PREFIX, deep=True) == written


def test_only_some_names(store: Store, files: dict[str, Path], tmp_path: Path) -> None:
    commit(store, "models/v1", files, attempt=None, meta={})
    assert store.get("models/v1/model.safetensors") == b"model.safetensors"
    fetch(store, "models/v1", tmp_path / "out", ["empty"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["empty"]
    with pytest.raises(Torn, match="has no other"):
        fetch(store, "models/v1", tmp_path / "out", ["other"])


def test_the_first_commit_stands(store: Store, files: dict[str, Path]) -> None:
    first = commit(store, PREFIX, files, attempt=1, meta={})
    files["empty"].write_bytes(b"not empty")
    with pytest.raises(Conflict):
        commit(store, PREFIX, files, attempt=2, meta={})
    assert commit(store, PREFIX, files, attempt=2, meta={}, exists_ok=True) == first
    assert verify(store, PREFIX, deep=True) == first


def test_who_comes_second_loses_at_the_manifest(
    store: Store, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = store.upload

    def meanwhile(path: Path, key: str) -> None:
        monkeypatch.setattr(store, "upload", upload)
        commit(store, PREFIX, files, attempt=2, meta={"winner": True})
        upload(path, key)

    for exists_ok in (False, True):
        monkeypatch.setattr(store, "upload", meanwhile)
        if exists_ok:
            manifest = commit(store, PREFIX, files, attempt=1, meta={}, exists_ok=True)
            assert manifest.meta == {"winner": True}
        else:
            with pytest.raises(Conflict):
                commit(store, PREFIX, files, attempt=1, meta={})
        verify(store, PREFIX, deep=True)
        withdraw(store, PREFIX)


def test_without_a_manifest_there_is_nothing(store: Store, tmp_path: Path) -> None:
    store.put(f"{PREFIX}/a0001/model.safetensors", b"1")
    for action in (load, verify, lambda *at: fetch(at[0], at[1], tmp_path / "out")):
        with pytest.raises(Absent):
            action(store, PREFIX)


@pytest.mark.parametrize("damage", ["missing", "short", "changed"])
def test_a_torn_artifact(store: Store, files: dict[str, Path], tmp_path: Path, damage: str) -> None:
    commit(store, PREFIX, files, attempt=1, meta={})
    key = f"{PREFIX}/a0001/model.safetensors"
    if damage == "missing":
        store.delete([key])
    else:
        store.put(key, b"short" if damage == "short" else b"MODEL.safetensors")
    with pytest.raises(Torn) as caught:
        fetch(store, PREFIX, tmp_path / "out")
    assert caught.value.exit_code == 75
    assert not (tmp_path / "out" / "model.safetensors").exists()
    with pytest.raises(Torn):
        verify(store, PREFIX, deep=True)
    if damage != "changed":
        with pytest.raises(Torn):
            verify(store, PREFIX)
    fetch(store, PREFIX, tmp_path / "out", ["empty"])


FILE = {"key": "a0001/x", "size": 1, "sha256": "0"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        json.dumps({"files": {"x": {}}, "meta": {}, "nonce": ""}).encode(),
        json.dumps({"files": {"../x": FILE}, "meta": {}, "nonce": ""}).encode(),
        json.dumps({"files": {"x": FILE | {"key": "/x"}}, "meta": {}, "nonce": ""}).encode(),
        json.dumps({"files": {"x": FILE | {"key": 7}}, "meta": {}, "nonce": ""}).encode(),
    ],
)
def test_a_damaged_manifest_is_torn(tmp_path: Path, content: bytes) -> None:
    store = open_store(str(tmp_path))
    store.put(f"a/{MANIFEST}", content)
    with pytest.raises(Torn):
        load(store, "a")


def test_withdraw(store: Store, files: dict[str, Path]) -> None:
    commit(store, PREFIX, files, attempt=1, meta={})
    commit(store, f"{PREFIX}0", files, attempt=1, meta={})
    withdraw(store, PREFIX)
    withdraw(store, PREFIX)
    assert {item.key.split("/")[3] for item in store.list()} == {"step-000001200"}
    verify(store, f"{PREFIX}0", deep=True)
    with pytest.raises(SettingsError):
        withdraw(store, "")


def test_the_manifests_name_is_taken(tmp_path: Path, files: dict[str, Path]) -> None:
    store = open_store(str(tmp_path / "store"))
    for name in (MANIFEST, "../x"):
        with pytest.raises(StoreError):
            commit(store, "a", {name: files["empty"]}, attempt=None, meta={})
    assert list(store.list()) == []


def test_uploaded_files_are_no_artifact_until_they_are_sealed(store: Store, tmp_path: Path) -> None:
    """What is checked in between is checked through the manifest in hand."""
    path = tmp_path / "model"
    path.write_bytes(b"weights")
    manifest = upload(store, PREFIX, {"model": path}, attempt=None, meta={})
    with pytest.raises(Absent):
        load(store, PREFIX)
    fetch(store, PREFIX, tmp_path / "back", manifest=manifest)
    assert (tmp_path / "back" / "model").read_bytes() == b"weights"
    seal(store, PREFIX, manifest)
    assert load(store, PREFIX) == manifest


def test_a_damaged_artifact_is_replaced_and_nothing_of_it_is_deleted(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    first = commit(store, PREFIX, files, attempt=1, meta={})
    key = f"{PREFIX}/{first.files['model.safetensors'].key}"
    store.put(key, b"model.safetensorZ")
    before = {item.key for item in store.list(f"{PREFIX}/")}
    with pytest.raises(Torn):
        fetch(store, PREFIX, tmp_path / "out")
    second = commit(store, PREFIX, files, attempt=2, meta={}, exists_ok=True)
    assert second != first
    assert verify(store, PREFIX, deep=True) == second
    assert before < {item.key for item in store.list(f"{PREFIX}/")}
    # and what is whole stands
    assert commit(store, PREFIX, files, attempt=3, meta={}, exists_ok=True) == second


def test_a_manifest_that_is_not_one_is_replaced(store: Store, files: dict[str, Path]) -> None:
    store.put(f"{PREFIX}/{MANIFEST}", b"<html>Sign in</html>")
    written = commit(store, PREFIX, files, attempt=1, meta={}, exists_ok=True)
    assert verify(store, PREFIX, deep=True) == written


class Damaging(FolderStore):
    """Gives, or keeps, other bytes than it has, or was given, for so many requests."""

    reads = uploads = 0
    kept = b"mod"
    readable = ""
    """What arrives whole all the same."""

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        super().download(key, path, identity=identity)
        if self.reads and key.endswith("safetensors"):
            self.reads -= 1
            path.write_bytes(b"<html>200 OK</html>")

    def get(self, key: str) -> bytes:
        if self.reads and key.endswith(MANIFEST) and self.readable != MANIFEST:
            self.reads -= 1
            return b"<html>200 OK</html>"
        return super().get(key)

    def upload(self, path: Path, key: str) -> None:
        super().upload(path, key)
        if self.uploads and key.endswith("safetensors"):
            self.uploads -= 1
            (self.root / key).write_bytes(self.kept)


def test_one_wrong_answer_condemns_nothing(files: dict[str, Path], tmp_path: Path) -> None:
    store = Damaging(tmp_path / "store")
    written = commit(store, PREFIX, files, attempt=1, meta={})
    for _ in range(2):  # the manifest, and then a file
        store.reads = 1
        assert fetch(store, PREFIX, tmp_path / "out", manifest=None) == written
        shutil.rmtree(tmp_path / "out")
    store.reads = 2
    with pytest.raises(Torn, match="is not a manifest"):
        fetch(store, PREFIX, tmp_path / "out")


@pytest.mark.parametrize("kept", [b"mod", b"model.safetensorZ"])
def test_what_the_store_does_not_keep_is_uploaded_again_and_not_committed(
    files: dict[str, Path], tmp_path: Path, kept: bytes
) -> None:
    """Whether the size tells, or only the checksum."""
    store = Damaging(tmp_path / "store")
    store.kept, store.uploads = kept, 2
    commit(store, PREFIX, files, attempt=1, meta={})
    verify(store, PREFIX, deep=True)
    store.uploads = 3
    words = "has 3 bytes instead of 17" if len(kept) == 3 else "does not hold what was uploaded"
    with pytest.raises(Torn, match=words):
        commit(store, "other", files, attempt=1, meta={})
    with pytest.raises(Absent):
        load(store, "other")


def test_bytes_that_arrive_damaged_condemn_nothing(files: dict[str, Path], tmp_path: Path) -> None:
    """The store describes them as when they were uploaded: another has no reason to replace them."""
    store = Damaging(tmp_path / "store")
    written = commit(store, PREFIX, files, attempt=1, meta={})
    for action in (
        lambda: fetch(store, PREFIX, tmp_path / "out"),
        lambda: commit(store, PREFIX, files, attempt=2, meta={}, exists_ok=True),
    ):
        store.reads = 99
        store.readable = MANIFEST
        with pytest.raises(Garbled, match="arrives damaged, though the store holds it unchanged"):
            action()
    store.reads = 0
    assert verify(store, PREFIX, deep=True) == written


def test_a_copy_in_another_store_is_known_by_its_content(
    files: dict[str, Path], tmp_path: Path, bucket: str
) -> None:
    """What the store says of its files has changed, and they have not."""
    here, there = open_store(str(tmp_path / "store")), open_store(bucket)
    written = commit(here, PREFIX, files, attempt=1, meta={})
    for item in here.list():
        there.put(item.key, here.get(item.key))
    assert verify(there, PREFIX) == written
    there.put(f"{PREFIX}/a0001/model.safetensors", b"model.safetensorZ")
    with pytest.raises(Torn):
        verify(there, PREFIX)
    withdraw(there, PREFIX)
