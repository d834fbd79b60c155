"""The folder for what is not kept, and whose cache is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from job.errors import SettingsError
from job.runtime.scratch import scratch_folder
from job.settings import Runtime


@pytest.mark.parametrize("writable", [True, False])
def test_the_hubs_cache_is_the_users_own_where_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    for name in ("HF_HOME", "HF_METRICS_CACHE", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # so that what the block sets is undone afterwards
        monkeypatch.delenv(name)
    if not writable:
        (tmp_path / "cache").touch()  # below a file nobody can write, root included
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with scratch_folder(Runtime(scratch=str(tmp_path))) as scratch:
        expected = None if writable else str(scratch / "cache")
        assert os.environ.get("HF_HOME") == expected


def test_it_is_a_process_s_own_and_gone_afterwards(tmp_path: Path) -> None:
    runtime = Runtime(scratch=str(tmp_path / "made"))
    with scratch_folder(runtime) as one, scratch_folder(runtime) as other:
        assert one != other
        (one / "file").touch()
    assert list((tmp_path / "made").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below = Runtime(scratch=str(tmp_path / "file" / "below"))
    with pytest.raises(SettingsError, match="cannot be written to"), scratch_folder(below):
        pytest.fail("it was made")
