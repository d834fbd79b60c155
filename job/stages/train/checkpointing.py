"""When a checkpoint is taken, what goes into it, which are kept, and which one training resumes from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from job.checkpoint import catalog, tensors
from job.checkpoint.catalog import Restored, TrainerState
from job.checkpoint.saver import Checkpoint, Saver
from job.errors import Absent, InputMissing, Torn
from job.runtime.numerics import numerics
from job.stages.train.context import TrainContext
from job.stages.train.history import History
from job.stages.train.step import Stepper
from job.telemetry import milestone, warn


class Checkpointer:
    """Takes this attempt's checkpoints, and prunes those that are not kept."""

    def __init__(
        self, context: TrainContext, stepper: Stepper, history: History, step: int
    ) -> None:
        """
        Args:
            step: the one that training continues from, which needs no checkpoint.
        """
        workspace, self._world = context.workspace, context.world
        self._settings, self._workspace = context.settings.checkpoint, workspace
        self._stepper, self._history = stepper, history
        self._dataset = context.dataset.fingerprint
        self.saver = Saver(
            workspace.store,
            workspace.checkpoints,
            workspace.attempt,
            context.world,
            workspace.scratch,
        )
        self.saved_step = step
        """The step of the last checkpoint, which may still be on its way."""
        self._saved_at = time.monotonic()

    def due(self, done: int) -> bool:
        """Whether the settings ask for a checkpoint after `done` steps; the first rank's clock decides."""
        every = self._settings.every_steps
        overdue = time.monotonic() - self._saved_at >= self._settings.every_seconds
        return bool(every and done % every == 0) or (self._world.first and overdue)

    def save(self, state: TrainerState) -> None:
        """Stage a checkpoint; it is committed, with this attempt's metrics, as training goes on.

        Where training is over, wait for that.

        Raises:
            JobError: this one or the previous one could not be committed.
        """
        parallel = self._stepper.parallel
        # before the manifest: metrics beyond it are cut when they are merged, lost ones are lost
        checkpoint = Checkpoint(
            state,
            self._dataset,
            self._history.commit,
            partial(self._committed, state),
        )
        values = tensors.model_tensors(parallel.model)
        values |= tensors.optimizer_tensors(parallel.model, parallel.optimizer)
        self.saver.save(values, checkpoint)
        self._saved_at, self.saved_step = time.monotonic(), state.step
        if state.finished:
            self.saver.wait()

    def _committed(self, state: TrainerState) -> None:
        workspace, keep = self._workspace, self._settings.keep
        workspace.on_commit(state.step)
        catalog.prune(workspace.store, workspace.checkpoints, keep=keep, best_step=state.best_step)

    def fits(self, seconds_left: float) -> bool:
        """Whether another checkpoint, by what the last one took, can be committed in what is left of
        the grace period of each rank; a collective."""
        left = self._world.smallest(int(1000 * min(seconds_left, 1e6))) / 1000
        return bool(self._world.agreed(left > 1.5 * self.saver.seconds + 1))

    def restore(self, restored: Restored) -> None:
        """Put a checkpoint's values into the model, the optimizer and the loss scaling."""
        parallel = self._stepper.parallel
        tensors.load_model(parallel.model, restored)
        tensors.load_optimizer(parallel.model, parallel.optimizer, restored)
        parallel.restore_scaler(restored.state.scaler)
        known = restored.state.made_with  # empty where an earlier release wrote it
        changes = catalog.changes(known[-1], self._facts()) if known else {}
        for name, (before, now) in changes.items():
            warn(
                "resumed in another environment; the last bits may differ",
                what=name,
                before=before,
                now=now,
            )
        milestone("Resumed", "resumed", step=restored.state.step)

    def made_with(self, state: TrainerState) -> Sequence[Mapping[str, Any]]:
        """What the steps up to this state were computed with."""
        return catalog.made_with(state, self._facts(), self.saved_step)

    def _facts(self) -> dict[str, Any]:
        """What must be the same for a run to end with the same bits."""
        parallel, world = self._stepper.parallel, self._world
        return {
            "world": world.size,
            "processes": world.processes,
            "tokens": self._stepper.budget.tokens,
            "precision": parallel.accelerator.mixed_precision,
            **numerics(parallel.device),
        }


def newest_checkpoint(context: TrainContext) -> Restored | None:
    """The newest verified checkpoint, as the first rank finds it; fetched once for all ranks of a pod.

    Raises:
        Torn: this pod gets other bytes from the store than the first rank did.
        Garbled: no checkpoint can be read, though one is whole in the store.
        InputMissing: it was trained on other rows than are there now.
    """
    workspace, world = context.workspace, context.world
    store, prefix = workspace.store, workspace.checkpoints
    folder = workspace.scratch / "restored"
    newest: Restored | None = None
    if world.first:
        newest = catalog.newest(store, prefix, folder)
        if newest is not None:
            _check_rows(newest, context.dataset.fingerprint)
        step = newest.state.step if newest else None
        world.rendezvous.publish("step", step)
    else:
        step = world.rendezvous.wait_for("step")
    if step is None:
        return None

    def fetch() -> dict[str, object]:
        fetched = newest or catalog.restore(store, prefix, step, folder)
        return {"folder": str(fetched.folder), "meta": dict(fetched.meta)}

    try:
        shared = world.rendezvous.once_per_node("checkpoint", fetch)
    except (Torn, Absent) as error:  # the first rank has just verified it
        raise Torn(error.message, hint="the store gives its pods different answers") from error
    return newest or Restored.opened(Path(shared["folder"]), shared["meta"])


def _check_rows(restored: Restored, fingerprint: str) -> None:
    """What a run reads is frozen; where that record was lost, the data may have changed meanwhile.

    Raises:
        InputMissing: the checkpoint was trained on other rows.
    """
    trained = restored.meta.get("dataset") or fingerprint  # earlier releases did not say
    if trained != fingerprint:
        raise InputMissing(
            f"the checkpoint of step {restored.state.step} was trained on the data set {trained}, and the "
            f"rows are now those of {fingerprint}",
            hint="put the old files back, or give this run another FINETUNE_RUN_ID",
        )
