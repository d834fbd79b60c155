"""The champion, put to some rows: its score on them, and what its tokenizer does not know of their text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.gate.contender import Contender
from job.models.trained import TrainedModel
from job.tasks.scorers import Scorer
from job.tasks.tokens import tokenize

Counts = npt.NDArray[np.float64]

RIGHT = ("accuracy", "exact_match")
"""Shares of right rows, where a task has them: they need the fewest rows to tell."""


@dataclass(frozen=True)
class ScoredChampion:
    """A version that is put to rows."""

    contender: Contender
    scratch: Path

    @classmethod
    def of(cls, trained: TrainedModel, scratch: Path) -> ScoredChampion:
        """A version by what it has learned."""
        task = trained.task.learned(trained.base.config, {}, trained.base.tokenizer)
        return cls(Contender(trained.settings, trained.base, task), scratch)

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that it knows; none where its task has none."""
        return tuple(self.contender.task.facts.get("labels", ()))

    def scorers(self, metric: str | None, *tables: pa.Table) -> tuple[str, list[Scorer]] | None:
        """Its answers to tables of rows, by role, and the metric that sees them: the share of right rows
        where the task has one, else the one that is asked for, else the task's own.

        Returns:
            None where no metric says anything of these rows.

        Raises:
            DataError, SettingsError: it is damaged, or has no head for its task.
        """
        task, folder = self.contender.task, self.scratch / "answers"
        answers = [self.contender.answers(table, folder) for table in tables]
        for name in (*RIGHT, metric, task.default_metric):
            found = [name and task.scorer(scored, name) for scored in answers]
            scorers = [scorer for scorer in found if scorer]
            if len(scorers) < len(tables):
                continue
            if name and (name not in RIGHT or all(each.correct is not None for each in scorers)):
                return name, scorers
        return None

    def unknown_tokens(self, rows: pa.Table) -> tuple[Counts, Counts] | None:
        """How many tokens of each row's text the tokenizer does not know, and how many there are; None
        where it knows every text."""
        tokenizer = self.contender.base.tokenizer
        texts = self.contender.task.texts_of(self.contender.as_read(rows))
        if tokenizer.unk_token_id is None or not texts:
            return None
        ids = tokenize(tokenizer, texts, None, None, special=False).input_ids
        unknown = np.append(ids.values.to_numpy() == tokenizer.unk_token_id, False)
        offsets = ids.offsets.to_numpy()
        counts = np.add.reduceat(unknown, offsets[:-1], dtype=np.float64)
        sizes = np.diff(offsets).astype(np.float64)
        return np.where(sizes > 0, counts, 0.0), sizes
