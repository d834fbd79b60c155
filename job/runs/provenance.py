"""What a version was made from: all that is needed, with its settings.json, to make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from job.checkpoint.catalog import AFTER
from job.data.artifacts import Dataset, Frozen
from job.errors import InputMissing
from job.runs.attempt import Attempt
from job.runtime.numerics import described
from job.stages.train import TrainOutput
from job.store.manifest import Manifest
from job.store.records import record_of


@dataclass(frozen=True)
class Provenance:
    """What a version's manifest says of how it came about."""

    inputs: Frozen
    """The run's inputs.json: files and models with what identifies them, without secrets."""
    dataset: str
    """The fingerprint of the rows that were learned from."""
    metric: str
    """What selected the best step."""
    steps: int
    best_step: int | None
    """The step whose weights these are; None for the last one."""
    merge: bool
    """Whether adapters were added into the weights."""
    made_with: Sequence[Mapping[str, Any]]
    """What the steps were computed with (`TrainerState.made_with`)."""

    @classmethod
    def of(cls, attempt: Attempt, dataset: Dataset, trained: TrainOutput) -> Provenance:
        """That of the model that an attempt has trained."""
        state = trained.state
        return cls(
            attempt.frozen,
            dataset.fingerprint,
            trained.metric,
            state.step,
            state.best_step,
            attempt.settings.publish.merge,
            state.made_with,
        )

    @classmethod
    def in_manifest(cls, manifest: Manifest, where: str) -> Provenance:
        """What a version's manifest says.

        Args:
            where: the version's URI, for the error.

        Raises:
            InputMissing: it says nothing: an earlier release wrote it.
            Torn: it says something that cannot be.
        """
        if not manifest.meta.get("made_with"):
            raise InputMissing(
                f"{where} does not say what it was made from: an earlier release published it",
                hint="train it again with this release, under another FINETUNE_RUN_ID; that version can be "
                "reproduced",
            )
        return record_of(cls, manifest.meta, where)

    @property
    def computed(self) -> str:
        """What the steps were computed with, in words: where that changed, the last of it, and since when."""
        if not self.made_with:
            return "what an earlier release did not record"
        last = self.computed_with[-1]
        since = last[AFTER]
        return described(last) + (f", since step {since + 1:,}" if since else "")

    @property
    def computed_with(self) -> Sequence[Mapping[str, Any]]:
        """What the steps up to these weights were computed with, which is all that counts."""
        last = self.steps if self.best_step is None else self.best_step
        known = [entry for entry in self.made_with if entry[AFTER] < last]
        return known or self.made_with[:1]  # the release that made these steps did not say
