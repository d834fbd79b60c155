"""Checkpoints in the store: committed whole, found again, pruned.

A checkpoint is `checkpoints/step-00000120/`: a safetensors file from each rank, trainer_state.json,
and the manifest, which is written last and carries what is needed to choose among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from job.errors import Absent, Garbled, Torn
from job.store import Store, layout
from job.store.commit import fetch, verify, withdraw
from job.store.records import parsed, record_of
from job.telemetry import warn

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TrainerState:
    """How far training is: with the seed, everything that is not a tensor."""

    step: int = 0
    """Optimizer steps done."""
    best_score: float | None = None
    best_step: int | None = None
    evaluated: int = 0
    """The last step that was evaluated; an evaluation that was stopped is repeated by the next attempt."""
    stale: int = 0
    """Evaluations in a row without a better score."""
    seconds: float = 0.0
    """Spent in steps, not in evaluations or checkpoints, over all attempts."""
    rows: int = 0
    """Trained on, over all attempts."""
    loss_sum: float = 0.0
    """The sum of the steps' losses, for their mean."""
    finished: bool = False
    """Training is over: all steps are done, or it ran out of patience or time."""
    scaler: Mapping[str, Any] | None = None
    """The state of fp16's loss scaling."""
    made_with: Sequence[Mapping[str, Any]] = ()
    """What the steps so far were computed with (`job.runtime.numerics`, the world, its micro-batches): one
    entry, and another with `after_step` wherever an attempt went on with something else."""


def steps(store: Store, prefix: str) -> list[int]:
    """The steps that have a committed checkpoint, in order."""
    found = (layout.step_of(item.key) for item in store.list(f"{prefix}/"))
    return sorted(step for step in found if step is not None)


@dataclass(frozen=True)
class Restored:
    """A verified checkpoint on this disk."""

    state: TrainerState
    meta: Mapping[str, Any]
    folder: Path

    def names(self) -> set[str]:
        """The names of its tensors."""
        from job.checkpoint.staging import names

        return names(self.folder)

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Fill tensors, or this rank's part of them, in place."""
        from job.checkpoint.staging import load

        load(self.folder, tensors)

    @classmethod
    def opened(cls, folder: Path, meta: Mapping[str, Any]) -> Restored:
        """The checkpoint in a folder that was fetched and verified.

        Args:
            meta: the manifest's.

        Raises:
            Torn: trainer_state.json is not what this release, or an earlier one, writes.
        """
        file = folder / "trainer_state.json"
        state = record_of(TrainerState, parsed(file.read_bytes(), str(file)), str(file))
        return cls(state, meta, folder)


def restore(store: Store, prefix: str, step: int, folder: Path) -> Restored:
    """Fetch and verify one checkpoint.

    Raises:
        Absent: it has no manifest.
        Torn: its files are missing or are not what the manifest says.
        Garbled: they arrive damaged again and again.
    """
    folder = folder / f"step-{step:08d}"
    return Restored.opened(folder, fetch(store, layout.checkpoint(prefix, step), folder).meta)


def newest(store: Store, prefix: str, folder: Path) -> Restored | None:
    """The newest verified checkpoint, fetched below `folder`; None if there is none.

    Others are named in the log and passed over. Nothing is deleted: a read may have gone wrong,
    and a step that is reached again is committed in a torn one's place (`job.store.commit.settle`).

    Raises:
        Garbled: none can be read, though one is whole in the store: not to begin at step 0.
    """
    unread: Garbled | None = None
    for step in reversed(steps(store, prefix)):
        try:
            return restore(store, prefix, step, folder)
        except (Torn, Absent, Garbled) as error:
            warn("checkpoint passed over", step=step, reason=str(error))
            if isinstance(error, Garbled):
                unread = unread or error
    if unread is not None:
        raise unread
    return None


def prune(store: Store, prefix: str, *, keep: int, best_step: int | None) -> None:
    """Remove all but the newest `keep` whole checkpoints and the best one, oldest first, and what was
    never committed of steps before them.

    Whole is what has all its files, as they were uploaded. While fewer than `keep` are, nothing is
    removed.
    """
    whole = [step for step in steps(store, prefix) if _is_whole(store, prefix, step)]
    if len(whole) < keep:
        return
    below = (layout.step_below(prefix, item.key) for item in store.list(f"{prefix}/"))
    for step in sorted({step for step in below if step is not None}):
        if step < whole[-keep] and step != best_step:
            withdraw(store, layout.checkpoint(prefix, step))


def _is_whole(store: Store, prefix: str, step: int) -> bool:
    try:
        verify(store, layout.checkpoint(prefix, step))
    except (Torn, Absent, Garbled) as error:
        warn("this checkpoint is damaged and does not count", step=step, reason=str(error))
        return False
    return True


AFTER = "after_step"
"""In an entry of `made_with`: the last step that was computed with something else."""


def made_with(
    state: TrainerState, facts: Mapping[str, Any], after: int
) -> Sequence[Mapping[str, Any]]:
    """What the steps up to `state.step` were computed with.

    Args:
        facts: what the steps since `after` were.
    """
    before = list(state.made_with)  # empty after steps of an earlier release, which did not say
    if before and not changes(before[-1], facts):
        return before
    return [*before, {AFTER: after, **facts}]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What of the facts that may change the last bits is not the same, as (before, now); None for what
    was not there."""
    names = dict.fromkeys([*before, *now])
    pairs = {name: (before.get(name), now.get(name)) for name in names if name != AFTER}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
