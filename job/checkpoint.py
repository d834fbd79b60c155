"""Checkpoints: the state of training in the store, committed whole, found again, pruned.

A checkpoint is `checkpoints/step-00000120/` with model.safetensors, optimizer.safetensors and
trainer_state.json; the manifest is written last and carries what is needed to choose among them.
Tensors are safetensors, never pickles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import Absent, Torn
from job.store import Store
from job.store.commit import Manifest, commit, fetch, withdraw
from job.telemetry import event, warn

if TYPE_CHECKING:
    import torch

_STEP = re.compile(r"/step-(\d+)/manifest\.json$")


@dataclass(frozen=True)
class TrainerState:
    """Where training is; with the seed it is everything that is not a tensor."""

    step: int = 0
    """Optimizer steps done."""
    best_score: float | None = None
    best_step: int | None = None
    evaluated: int = 0
    """The last step that was evaluated; a stop during an evaluation leaves it to the next attempt."""
    stale: int = 0
    """Evaluations in a row without a better score."""
    seconds: float = 0.0
    """Spent in steps, without evaluations and checkpoints, over all attempts."""
    rows: int = 0
    """Trained on, over all attempts."""
    loss_sum: float = 0.0
    """The steps' losses added up, for the mean."""
    finished: bool = False
    """Training is over: all steps, out of patience, or out of time."""
    scaler: Mapping[str, Any] | None = None
    """The state of fp16's loss scaling."""


def key_of(prefix: str, step: int) -> str:
    """The prefix of a step's checkpoint."""
    return f"{prefix}/step-{step:08d}"


def save(
    store: Store,
    prefix: str,
    attempt: int,
    state: TrainerState,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    folder: Path,
    facts: Mapping[str, Any],
) -> None:
    """Commit a checkpoint; one that another attempt committed for the same step is left as it is.

    Args:
        prefix: where the run's checkpoints lie.
        tensors: `model` and `optimizer`, each by tensor name.
        folder: scratch for the files.
        facts: what a resume compares: world size, threads, micro-batch limit.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    for name, values in tensors.items():
        files[f"{name}.safetensors"] = folder / f"{name}.safetensors"
        save_file(
            {k: v.detach().contiguous() for k, v in values.items()}, files[f"{name}.safetensors"]
        )
    files["trainer_state.json"] = folder / "trainer_state.json"
    files["trainer_state.json"].write_text(json.dumps(asdict(state), indent=1))
    commit(
        store,
        key_of(prefix, state.step),
        files,
        attempt=attempt,
        meta={"step": state.step, "best_step": state.best_step, **facts},
        exists_ok=True,
    )
    event("checkpoint committed", step=state.step, best_step=state.best_step)


def steps(store: Store, prefix: str) -> list[int]:
    """The steps that have a committed checkpoint, in order."""
    matches = (_STEP.search(item.key) for item in store.list(f"{prefix}/"))
    return sorted(int(match.group(1)) for match in matches if match)


@dataclass(frozen=True)
class Restored:
    """A verified checkpoint on this disk."""

    state: TrainerState
    manifest: Manifest
    folder: Path

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors of one file by name."""
        from safetensors.torch import load_file

        return load_file(self.folder / f"{name}.safetensors")


def restore(store: Store, prefix: str, step: int, folder: Path) -> Restored:
    """Fetch and verify one checkpoint.

    Raises:
        Absent: it has no manifest.
        Torn: its files are missing or are not what the manifest says.
    """
    folder = folder / f"step-{step:08d}"
    manifest = fetch(store, key_of(prefix, step), folder)
    state = json.loads((folder / "trainer_state.json").read_text())
    return Restored(TrainerState(**state), manifest, folder)


def newest(store: Store, prefix: str, folder: Path) -> Restored | None:
    """The newest verified checkpoint; torn ones are named in the log, passed over and withdrawn, so
    that the step can be committed again."""
    for step in reversed(steps(store, prefix)):
        try:
            return restore(store, prefix, step, folder)
        except (Torn, Absent) as error:
            warn("checkpoint passed over", step=step, reason=str(error))
            withdraw(store, key_of(prefix, step))
    return None


def prune(store: Store, prefix: str, *, keep: int, best_step: int | None) -> None:
    """Remove all but the newest `keep` checkpoints and the best one, oldest first."""
    for step in steps(store, prefix)[:-keep]:
        if step != best_step:
            withdraw(store, key_of(prefix, step))


def differences(manifest: Manifest, facts: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not as it was when the checkpoint was made, and so may change the last bits."""
    return {k: (manifest.meta[k], v) for k, v in facts.items() if manifest.meta.get(k, v) != v}
