"""The champion, put to some rows: its score on them, and what its tokenizer does not know of their text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.data.arrow import MappedTable
from job.data.artifacts import ROW
from job.models.trained import TrainedModel
from job.scoring.inference import Inference
from job.tasks.scorers import Scorer
from job.tasks.tokens import tokenize
from job.tasks.types import Scored

Counts = npt.NDArray[np.float64]

RIGHT = ("accuracy", "exact_match")
"""Shares of right rows, where a task has them: they need the fewest rows to tell."""


@dataclass(frozen=True)
class ScoredChampion:
    """A version that is put to rows."""

    inference: Inference
    """Its task has the version's own labels."""
    max_length: int

    @classmethod
    def load(cls, trained: TrainedModel) -> ScoredChampion:
        """Load its weights.

        Raises:
            DataError, SettingsError: it is damaged, or of another task.
        """
        base = trained.base
        task = trained.task.learned(base.config, {}, base.tokenizer)
        limits = base.limits(trained.settings)
        inference = Inference.load(trained.settings, base.place, task, base.tokenizer, limits)
        return cls(inference, base.max_length)

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that it knows; none where its task has none."""
        return tuple(self.inference.task.facts.get("labels", ()))

    def scorers(self, metric: str | None, *tables: pa.Table) -> tuple[str, list[Scorer]] | None:
        """Its answers to tables of rows, by role, and the metric that sees them: the share of right rows
        where the task has one, else the one that is asked for, else the task's own.

        Returns:
            None where no metric says anything of these rows.
        """
        task = self.inference.task
        answers = [self._answers(table) for table in tables]
        for name in (*RIGHT, metric, task.default_metric):
            found = [name and task.scorer(scored, name) for scored in answers]
            scorers = [scorer for scorer in found if scorer]
            if len(scorers) < len(tables):
                continue
            if name and (name not in RIGHT or all(each.correct is not None for each in scorers)):
                return name, scorers
        return None

    def _answers(self, rows: pa.Table) -> Scored:
        encoded = self._encoded(rows)
        outputs = self.inference.run(encoded).outputs
        return Scored(outputs, encoded, MappedTable.of(rows), self.inference.tokenizer)

    def _encoded(self, rows: pa.Table) -> MappedTable:
        task, tokenizer = self.inference.task, self.inference.tokenizer
        features = task.features(task.known(rows.to_pydict()), tokenizer, self.max_length)
        packer = task.packer(tokenizer, self.max_length)
        if packer is None:
            return MappedTable.of(pa.table({**features.columns, ROW: pa.array(features.source)}))
        blocks = (packer.add(features.columns["input_ids"]), packer.flush())
        return MappedTable.of(pa.Table.from_batches([each for each in blocks if each is not None]))

    def unknown_tokens(self, rows: pa.Table) -> tuple[Counts, Counts] | None:
        """How many tokens of each row's text the tokenizer does not know, and how many there are; None
        where it knows every text."""
        tokenizer, texts = self.inference.tokenizer, self.inference.task.texts_of(rows.to_pydict())
        if tokenizer.unk_token_id is None or not texts:
            return None
        ids = tokenize(tokenizer, texts, None, None, special=False).input_ids
        unknown = np.append(ids.values.to_numpy() == tokenizer.unk_token_id, False)
        offsets = ids.offsets.to_numpy()
        counts = np.add.reduceat(unknown, offsets[:-1], dtype=np.float64)
        sizes = np.diff(offsets).astype(np.float64)
        return np.where(sizes > 0, counts, 0.0), sizes
