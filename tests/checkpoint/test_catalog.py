"""Which checkpoint is the newest, and which are kept, whatever the store does to their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from job.checkpoint import catalog
from job.errors import Garbled, InputMissing
from job.stages.train.checkpointing import _check_rows
from job.store import layout
from job.store.commit import commit
from job.store.folder import FolderStore

PREFIX = "m/runs/r/checkpoints"


class Garbling(FolderStore):
    """Gives something else than it has, of tensors."""

    given: tuple[int, ...] = ()
    """Steps whose tensors arrive damaged."""

    def download(self, key: str, path: Path, *, identity: str | None = None) -> None:
        super().download(key, path, identity=identity)
        if key.endswith("safetensors") and any(f"step-{step:08d}" in key for step in self.given):
            path.write_bytes(b"<html>")


@pytest.fixture
def store(tmp_path: Path) -> Garbling:
    return Garbling(tmp_path / "store")


def committed(store: FolderStore, folder: Path, *steps: int, **state: object) -> None:
    for step in steps:
        files = {name: folder / name for name in ("rank-00000.safetensors", "trainer_state.json")}
        files["rank-00000.safetensors"].write_bytes(b"weights %d" % step)
        files["trainer_state.json"].write_text(json.dumps({"step": step, **state}))
        commit(store, layout.checkpoint(PREFIX, step), files, attempt=1, meta={"step": step})


@pytest.mark.parametrize("kept", [b"weig", b"WEIGHTS 30"], ids=["cut", "changed"])
def test_pruning_counts_what_is_whole_whatever_the_store_kept(
    store: Garbling, tmp_path: Path, kept: bytes
) -> None:
    committed(store, tmp_path, 10, 20)
    for step in (30, 40):
        committed(store, tmp_path, step)
        key = f"{layout.checkpoint(PREFIX, step)}/a0001/rank-00000.safetensors"
        (store.root / key).write_bytes(kept)  # after it was found whole
        catalog.prune(store, PREFIX, keep=2, best_step=None)
    assert catalog.steps(store, PREFIX) == [10, 20, 30, 40]
    newest = catalog.newest(store, PREFIX, tmp_path / "restored")
    assert newest is not None
    assert newest.state.step == 20
    committed(store, tmp_path, 50)
    catalog.prune(store, PREFIX, keep=2, best_step=None)
    assert catalog.steps(store, PREFIX) == [20, 30, 40, 50]


def test_what_was_never_committed_goes_with_the_steps_before_what_is_kept(
    store: Garbling, tmp_path: Path
) -> None:
    for step in (5, 15, 25):
        store.put(f"{layout.checkpoint(PREFIX, step)}/a0001/rank-00000.safetensors", b"half")
    committed(store, tmp_path, 10, 20)
    catalog.prune(store, PREFIX, keep=2, best_step=None)
    left = {layout.step_below(PREFIX, item.key) for item in store.list(PREFIX)}
    assert left == {10, 15, 20, 25}
    catalog.prune(store, PREFIX, keep=1, best_step=10)
    left = {layout.step_below(PREFIX, item.key) for item in store.list(PREFIX)}
    assert left == {10, 20, 25}


def test_a_store_that_garbles_everything_does_not_begin_the_run_anew(
    store: Garbling, tmp_path: Path
) -> None:
    committed(store, tmp_path, 10, 20)
    store.given = (20,)
    newest = catalog.newest(store, PREFIX, tmp_path / "one")
    assert newest is not None
    assert newest.state.step == 10
    store.given = (10, 20)
    with pytest.raises(Garbled, match=r"step-00000020/.* arrives damaged") as caught:
        catalog.newest(store, PREFIX, tmp_path / "none")
    assert caught.value.exit_code == 75
    assert catalog.steps(store, PREFIX) == [10, 20]
    store.given = ()
    newest = catalog.newest(store, PREFIX, tmp_path / "two")
    assert newest is not None
    assert newest.state.step == 20


@pytest.mark.parametrize(
    ("state", "step"),
    [({"colour": "red"}, 20), ({"rows": "many"}, None), ({"scaler": [1]}, None)],
)
def test_a_trainer_state_of_another_release(
    store: Garbling, tmp_path: Path, state: dict[str, object], step: int | None
) -> None:
    """What is known of it is read; what is not what it should be is passed over."""
    committed(store, tmp_path, 20, **state)
    newest = catalog.newest(store, PREFIX, tmp_path / "restored")
    assert (newest.state.step if newest else None) == step


def test_a_checkpoint_of_other_rows_is_not_gone_on_with(tmp_path: Path) -> None:
    """A run's inputs.json was lost, and its data has changed since."""
    folder, state = tmp_path, catalog.TrainerState(step=7)
    for meta in ({}, {"dataset": ""}, {"dataset": "ab12"}):
        _check_rows(catalog.Restored(state, meta, folder), "ab12")
    with pytest.raises(InputMissing, match="step 7 was trained on the data set ab12"):
        _check_rows(catalog.Restored(state, {"dataset": "ab12"}, folder), "cd34")


def test_what_the_steps_were_computed_with_is_said_once_for_each_change() -> None:
    one, two = {"threads": 1, "torch": "2"}, {"threads": 4, "torch": "2", "cuda": "13"}
    state = catalog.TrainerState(step=30)
    for facts, after in ((one, 0), (one, 10), (two, 20)):
        state = replace(state, made_with=catalog.made_with(state, facts, after))
    assert state.made_with == [{"after_step": 0, **one}, {"after_step": 20, **two}]
    assert catalog.changes(*state.made_with) == {"threads": (1, 4), "cuda": (None, "13")}
    unknown = catalog.made_with(catalog.TrainerState(step=30), one, 20)
    assert unknown == [{"after_step": 20, **one}], "an earlier release made 20 steps"
