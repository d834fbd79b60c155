"""A store that ignores conditions is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from job.errors import SettingsError, StoreError
from job.store import open_store
from job.store.folder import FolderStore
from job.store.probe import probe_conditional_writes


class Ignoring(FolderStore):
    """Reports success whatever the condition, as some stores do."""

    ignored: tuple[str, ...] = ("if_absent", "if_tag")

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        return super().put(
            key,
            data,
            if_absent=if_absent and "if_absent" not in self.ignored,
            if_tag=None if "if_tag" in self.ignored else if_tag,
        )


class IgnoringTags(Ignoring):
    ignored = ("if_tag",)


class Refusing(FolderStore):
    """Knows no conditional writes and says so."""

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        raise StoreError("NotImplemented")


@pytest.mark.parametrize("kind", [Ignoring, IgnoringTags, Refusing])
def test_a_store_that_ignores_conditions(tmp_path: Path, kind: type[FolderStore]) -> None:
    with pytest.raises(SettingsError, match="FINETUNE_STORE__SINGLE_WRITER=true") as caught:
        probe_conditional_writes(kind(tmp_path), "name")
    assert caught.value.exit_code == 78
    assert list(FolderStore(tmp_path).list()) == []


def test_stores_that_honor_them(tmp_path: Path, bucket: str) -> None:
    for uri in (str(tmp_path), bucket):
        store = open_store(uri)
        probe_conditional_writes(store, "some/prefix")
        assert list(store.list()) == []


class Losing(FolderStore):
    """Acknowledges one write and does not keep it."""

    lost = 0

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
    ) -> str:
        if data == b"first" and not self.lost:
            self.lost += 1
            return "tag"
        return super().put(key, data, if_absent=if_absent, if_tag=if_tag)


def test_one_write_that_is_lost_condemns_no_store(tmp_path: Path) -> None:
    """78 would end the run for ever."""
    probe_conditional_writes(store := Losing(tmp_path), "name")
    assert store.lost == 1
    assert list(store.list()) == []
