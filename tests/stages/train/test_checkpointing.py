"""What training leaves in the store: resumed exactly, stopped cleanly, passed over where it is torn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from job.batching.limits import Limits
from job.batching.padding import Padding
from job.checkpoint import catalog
from job.errors import Stopped
from job.runtime.stop import StopSignal
from job.settings import Lora
from job.stages.train import train
from job.stages.train.export import export
from job.store import layout
from job.store.commit import verify, withdraw
from tests.stages.train.conftest import MakeContext
from tests.support.training import losses


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_resumed_run_ends_with_the_same_bits(context: MakeContext) -> None:
    whole = context("whole", checkpoint={"every_steps": 7})
    expected = train(whole)
    # an interrupted run: everything after step 21 is lost, as a kill between two commits loses it
    broken = context("broken", checkpoint={"every_steps": 7, "keep": 9})
    train(broken)
    store, prefix = broken.workspace.store, broken.workspace.checkpoints
    for step in catalog.steps(store, prefix):
        if step > 21:
            withdraw(store, layout.checkpoint(prefix, step))
    resumed = replace(
        broken,
        workspace=replace(broken.workspace, attempt=2, scratch=broken.workspace.scratch / "2"),
    )
    got = train(resumed)
    for name, tensor in weights(expected.folder).items():
        assert torch.equal(tensor, weights(got.folder)[name]), name
    assert losses(resumed) == losses(whole)
    assert got.state.loss_sum == pytest.approx(expected.state.loss_sum, rel=1e-12)


def test_a_torn_checkpoint_is_passed_over(context: MakeContext, tmp_path: Path) -> None:
    made = context("torn", checkpoint={"every_steps": 10, "keep": 9})
    train(made)
    store, prefix = made.workspace.store, made.workspace.checkpoints
    last = catalog.steps(store, prefix)[-1]
    files = list(
        (tmp_path / "store" / layout.checkpoint(prefix, last)).rglob("rank-00000.safetensors")
    )
    files[0].write_bytes(files[0].read_bytes()[:-1])
    listed = catalog.steps(store, prefix)
    newest = catalog.newest(store, prefix, tmp_path / "restored")
    assert newest is not None
    assert newest.state.step == listed[-2] < last
    assert catalog.steps(store, prefix) == listed, "a reader never deletes"
    # it does not count for what is kept, and while too few are whole nothing is removed
    catalog.prune(store, prefix, keep=len(listed), best_step=None)
    assert catalog.steps(store, prefix) == listed
    catalog.prune(store, prefix, keep=1, best_step=listed[0])
    assert catalog.steps(store, prefix) == [listed[0], listed[-2], last]


def test_a_torn_checkpoint_is_replaced_when_its_step_is_reached_again(
    context: MakeContext, tmp_path: Path
) -> None:
    made = context("again", checkpoint={"every_steps": 10, "keep": 9})
    expected = train(made)
    store, prefix = made.workspace.store, made.workspace.checkpoints
    for step in catalog.steps(store, prefix)[1:]:
        folder = tmp_path / "store" / layout.checkpoint(prefix, step)
        for file in folder.rglob("rank-00000.safetensors"):
            file.write_bytes(file.read_bytes()[:-1])
    workspace = replace(made.workspace, attempt=2, scratch=made.workspace.scratch / "2")
    got = train(replace(made, workspace=workspace))
    for name, tensor in weights(expected.folder).items():
        assert torch.equal(tensor, weights(got.folder)[name]), name
    for step in catalog.steps(store, prefix):
        verify(store, layout.checkpoint(prefix, step), deep=True)


def test_a_lost_best_checkpoint_is_said_and_the_newest_is_taken(
    context: MakeContext, caplog: pytest.LogCaptureFixture
) -> None:
    made = context("best", checkpoint={"every_steps": 10, "keep": 9})
    last = train(made).state
    lost = replace(last, best_step=10, best_score=0.5)
    withdraw(made.workspace.store, layout.checkpoint(made.workspace.checkpoints, 10))
    with caplog.at_level("WARNING"):
        got = export(made, lost)
    assert "the best checkpoint is lost" in caplog.text
    assert (got.state.best_step, got.state.best_score) == (last.step, None)


def test_only_the_newest_and_the_best_checkpoints_are_kept(
    context: MakeContext,
) -> None:
    made = context("kept", checkpoint={"every_steps": 3, "keep": 2}, evaluate={"metric": "loss"})
    state = train(made).state
    kept = catalog.steps(made.workspace.store, made.workspace.checkpoints)
    assert kept[-2:] == [27, 30]
    assert set(kept) <= {state.best_step, 27, 30}


def test_a_stop_commits_and_raises(context: MakeContext) -> None:
    stop = StopSignal(30)
    made = context("stopped", stop, checkpoint={"every_steps": 5})

    def stop_at(step: int) -> None:
        if step == 5 and not stop.raised:
            stop._handle(15, None)

    made = replace(made, workspace=replace(made.workspace, on_commit=stop_at))
    with pytest.raises(Stopped) as caught:
        train(made)
    assert caught.value.exit_code == 143
    last = catalog.steps(made.workspace.store, made.workspace.checkpoints)[-1]
    assert f"at step {last} of" in str(caught.value)
    assert last >= 5


def test_a_stop_during_an_evaluation_leaves_it_to_the_next_attempt(
    context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = context("uncut")
    expected = train(whole)
    stop = StopSignal(30)
    cut = context("cut", stop)
    original = type(cut.task).collate

    def collate(task: Any, table: Any, rows: Any, pad: Any, epoch: int) -> Any:
        if len(table) == 60:  # the validation rows
            stop._since = 0.0 if stop._since is None else stop._since
        return original(task, table, rows, pad, epoch)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(type(cut.task), "collate", collate)
        patch.setattr(StopSignal, "seconds_left", 30.0)
        train(replace(cut, limits=Limits(64, Padding(0))))
    assert catalog.steps(cut.workspace.store, cut.workspace.checkpoints) == [15]
    workspace = replace(cut.workspace, attempt=2, scratch=cut.workspace.scratch / "2")
    got = train(replace(cut, workspace=workspace, stop=StopSignal(30)))
    assert got.state.best_step == expected.state.best_step
    assert (got.state.evaluated, got.state.finished) == (30, True)


def test_only_adapters_are_trained_and_checkpointed_with_lora(
    context: MakeContext,
) -> None:
    made = context("adapters", model={"lora": Lora(r=4)}, train={"max_steps": 2})
    train(made)
    found = catalog.newest(
        made.workspace.store, made.workspace.checkpoints, made.workspace.scratch / "look"
    )
    assert found is not None
    assert all(
        "lora" in name or "classifier" in name
        for name in found.names()
        if name.startswith("model/")
    )
