"""The guard of the soak sees what should not be: else its silence would say nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from job.store import layout, open_store
from job.store.commit import commit
from tests.faults.guard import Guard

CHECKPOINTS = "m/runs/r/checkpoints"


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    """Over three checkpoints, of which the last two and the best one are kept, and a version."""
    store = open_store(str(tmp_path / "store"))
    for step in (10, 20, 30, 40):
        (tmp_path / "file").write_text(json.dumps(step))
        prefix, meta = layout.checkpoint(CHECKPOINTS, step), {"best_step": 20}
        commit(store, prefix, {"file": tmp_path / "file"}, attempt=1, meta=meta)
    commit(store, "m/models/r-a1", {"file": tmp_path / "file"}, attempt=None, meta={})
    return Guard(store, "bucket", keep=2)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        (f"{CHECKPOINTS}/step-00000010/manifest.json", False),
        (f"{CHECKPOINTS}/step-00000020/a0001/file", True),  # the best
        (f"{CHECKPOINTS}/step-00000030/manifest.json", True),
        (f"{CHECKPOINTS}/step-00000040/a0001/file", True),
        ("m/models/r-a1/file", True),
        ("m/runs/r/state.json", False),
    ],
)
def test_a_removal(guard: Guard, key: str, wrong: bool) -> None:
    guard.removing([key])
    assert bool(guard.wrongs) is wrong


def test_a_write_over_what_was_whole(guard: Guard, tmp_path: Path) -> None:
    for content, wrong in (("10", False), ("11", True)):
        path = f"/bucket/{CHECKPOINTS}/step-00000010/a0001/file"
        guard.wrote("before", "PUT", path)
        (tmp_path / "store" / path.removeprefix("/bucket/")).write_text(content)
        guard.wrote("after", "PUT", path)
        assert bool(guard.wrongs) is wrong
