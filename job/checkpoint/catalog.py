"""Checkpoints: the state of training in the store, committed whole, found again, pruned.

A checkpoint is `checkpoints/step-00000120/` with a safetensors file of each rank and
trainer_state.json; the manifest is written last and carries what is needed to choose among them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import Absent, Torn
from job.store import Store
from job.store.commit import fetch, withdraw
from job.telemetry import warn

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


def steps(store: Store, prefix: str) -> list[int]:
    """The steps that have a committed checkpoint, in order."""
    matches = (_STEP.search(item.key) for item in store.list(f"{prefix}/"))
    return sorted(int(match.group(1)) for match in matches if match)


@dataclass(frozen=True)
class Restored:
    """A verified checkpoint on this disk."""

    state: TrainerState
    meta: Mapping[str, Any]
    folder: Path

    def names(self) -> set[str]:
        """The tensors in it."""
        from job.checkpoint.staging import names

        return names(self.folder)

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Fill tensors, or this rank's part of them, in place."""
        from job.checkpoint.staging import load

        load(self.folder, tensors)

    @classmethod
    def opened(cls, folder: Path, meta: Mapping[str, Any]) -> Restored:
        """A checkpoint that was fetched and verified."""
        state = json.loads((folder / "trainer_state.json").read_text())
        return cls(TrainerState(**state), meta, folder)


def restore(store: Store, prefix: str, step: int, folder: Path) -> Restored:
    """Fetch and verify one checkpoint.

    Raises:
        Absent: it has no manifest.
        Torn: its files are missing or are not what the manifest says.
    """
    folder = folder / f"step-{step:08d}"
    return Restored.opened(folder, fetch(store, key_of(prefix, step), folder).meta)


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


def differences(meta: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not as it was when the checkpoint was made, and so may change the last bits."""
    return {k: (meta[k], v) for k, v in facts.items() if meta.get(k, v) != v}
