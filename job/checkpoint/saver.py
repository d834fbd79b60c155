"""Checkpoints on their way to the store: staged between two steps, uploaded while training goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from job.checkpoint.catalog import TrainerState
from job.checkpoint.staging import Staging
from job.distributed.world import World
from job.store import Store, layout
from job.store.commit import File, settle, upload
from job.telemetry import milestone

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Checkpoint:
    """What belongs to a checkpoint besides the tensors."""

    state: TrainerState
    dataset: str
    """The fingerprint of the rows that it was trained on."""
    before: Callable[[], None]
    """Called on the first rank before the manifest is written."""
    after: Callable[[], None]
    """Called on the first rank when the checkpoint is committed."""


class Saver:
    """Commits one checkpoint at a time, in the background; what goes wrong is raised at the next call.

    Every rank uploads its own file; the first rank hears of all of them and writes the manifest.
    Only the copy is collective; all ranks make it between the same two steps.
    """

    def __init__(
        self, store: Store, prefix: str, attempt: int, world: World, scratch: Path
    ) -> None:
        self._store, self._prefix, self._attempt = store, prefix, attempt
        self._world, self._scratch = world, scratch / "checkpoint"
        self._staging = Staging()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.seconds = 0.0
        """How long the last checkpoint took, from the copy to the manifest."""

    def save(self, tensors: Mapping[str, torch.Tensor], checkpoint: Checkpoint) -> None:
        """Wait for the previous checkpoint, copy the tensors, and return; the rest is done by a thread.

        Raises:
            JobError: the previous one could not be committed.
        """
        self.wait()
        began = time.monotonic()
        self._staging.copy(tensors, self._world)
        stall = time.monotonic() - began

        def work() -> None:
            try:
                self._commit(checkpoint, stall)
                self.seconds = time.monotonic() - began
            except BaseException as error:  # noqa: BLE001 - raised by `wait`
                self._error = error

        self._thread = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being uploaded."""
        return self._thread is not None and self._thread.is_alive()

    def check(self) -> None:
        """Raise what went wrong with the last checkpoint, unless it is still being uploaded.

        Raises:
            JobError: it could not be committed.
        """
        if not self.busy:
            self.wait()

    def wait(self) -> None:
        """Wait for the checkpoint that is being uploaded, if any.

        Raises:
            JobError: it could not be committed.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _commit(self, checkpoint: Checkpoint, stall: float) -> None:
        began, step, world = time.monotonic(), checkpoint.state.step, self._world
        prefix = layout.checkpoint(self._prefix, step)
        self._scratch.mkdir(parents=True, exist_ok=True)
        path = self._scratch / f"rank-{world.rank:05d}.safetensors"
        self._staging.write(path)
        files = {path.name: path}
        if world.first:
            checkpoint.before()
            files["trainer_state.json"] = self._scratch / "trainer_state.json"
            files["trainer_state.json"].write_text(json.dumps(asdict(checkpoint.state), indent=1))
        best = checkpoint.state.best_step
        meta = {"step": step, "best_step": best, "dataset": checkpoint.dataset}
        manifest = upload(self._store, prefix, files, attempt=self._attempt, meta=meta)
        path.unlink()
        if not world.first:
            uploaded = {name: asdict(file) for name, file in manifest.files.items()}
            world.rendezvous.publish(_note(step, world.rank), uploaded)
            return
        for rank in range(1, world.size):
            uploaded = world.rendezvous.wait_for(_note(step, rank))
            manifest.files.update({name: File(**file) for name, file in uploaded.items()})
        settle(self._store, prefix, manifest)
        milestone(
            "Checkpointed",
            "checkpoint committed",
            step=step,
            best_step=checkpoint.state.best_step,
            stall_seconds=round(stall, 3),
            upload_seconds=round(time.monotonic() - began, 3),
        )
        checkpoint.after()


def _note(step: int, rank: int) -> str:
    return f"checkpoint/{step}/{rank}"
