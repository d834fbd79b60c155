"""What a version has learned from, as far as the store still says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from job.data.arrow import Writer
from job.data.artifacts import KEY, KEYS, LEARNED, Frozen, Input
from job.registry.lineage import Lineage, lineage_of
from job.store import Store, layout, open_store
from job.store.commit import commit

PROFILE = '{"splits": {"train": {"labels": {"ham": 2, "spam": 1}}}}'


def arrow(path: Path, **columns: pa.Array) -> Path:
    with Writer(path) as writer:
        writer.write(pa.RecordBatch.from_pydict(columns))
    return path


def keys(*numbers: int) -> pa.Array:
    return pa.array(numbers, pa.uint64())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A version of run r, whose data set goes on from another."""
    store = open_store(str(tmp_path / "store"))
    run = layout.run("m", "r")
    inputs = Frozen((Input("train", "a.csv", 1, "x"), Input("test", "b.csv", 1, "y")), {})
    store.put(f"{run}/{layout.INPUTS}", inputs.json())
    split = pa.array([0, 0, 0, 1], pa.uint8())
    files = {
        KEYS: arrow(tmp_path / KEYS, **{KEY: keys(9, 3, 3, 7), "split": split}),
        LEARNED: arrow(tmp_path / LEARNED, **{KEY: keys(1, 3)}),
        layout.PROFILE: tmp_path / layout.PROFILE,
    }
    files[layout.PROFILE].write_text(PROFILE)
    commit(store, layout.dataset("m", "f"), files, attempt=1, meta={"fingerprint": "f"})
    model = tmp_path / "config.json"
    model.write_text("{}")
    version = layout.version("m", "r-a2")
    commit(store, version, {"config.json": model}, attempt=None, meta={"dataset": "f"})
    return store


def lineage(store: Store, tmp_path: Path, version: str = "r-a2") -> Lineage:
    return lineage_of(store, "m", version, tmp_path / "scratch")


def test_files_texts_and_labels_of_a_version_and_of_what_it_went_on_from(
    store: Store, tmp_path: Path
) -> None:
    found = lineage(store, tmp_path)
    assert found.files == frozenset({"a.csv", "b.csv"})
    assert found.rows is not None
    assert found.rows.trained.tolist() == [1, 3, 9]
    assert found.rows.validated.tolist() == [7]
    assert found.rows.labels == {"ham": 2, "spam": 1}
    known = found.rows.know(np.array([7, 2, 1], np.uint64))
    assert known.tolist() == [True, False, True]


def test_what_is_gone_or_of_an_older_release_is_left_out(store: Store, tmp_path: Path) -> None:
    assert lineage(store, tmp_path, "other-a1") == Lineage("other-a1", None, None)
    manifest = f"{layout.dataset('m', 'f')}/manifest.json"
    store.delete([manifest])
    found = lineage(store, tmp_path)
    assert (found.files, found.rows) == (frozenset({"a.csv", "b.csv"}), None)
    config = tmp_path / "config.json"
    older = layout.version("m", "old-a1")
    commit(store, older, {"config.json": config}, attempt=None, meta={"run_id": "old"})
    assert lineage(store, tmp_path, "old-a1").rows is None
