"""What predicting asks of a row: less than training does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from job.data.artifacts import Split
from job.errors import SettingsError
from job.tasks.base import Task
from job.tasks.row_rules import KEPT, Columns, Source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


ORIGIN = ("file", "line")
"""The columns of a file of predictions that say where a row came from."""


def refuse_taken(task: Task, keep: Sequence[str]) -> None:
    """A column that is to be kept must not have the name of one that predictions bring themselves.

    Raises:
        SettingsError: one does; with the name to give it.
    """
    taken = [name for name in keep if name in (*ORIGIN, *task.predicted)]
    if taken:
        others = json.dumps({name: f"given_{name}" for name in taken})
        raise SettingsError(
            f"FINETUNE_PREDICT__KEEP names {', '.join(taken)}, and predictions have columns of "
            f"{'this name' if len(taken) == 1 else 'these names'} themselves",
            hint=f"rename the rows' own, such as by FINETUNE_CLEAN__RENAME='{others}', and keep those",
        )


@dataclass(frozen=True)
class PredictRules:
    """A task's rules for rows without targets, with columns that are carried along."""

    task: Task
    keep: tuple[str, ...]
    """Names of the columns to carry along."""

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of the task's roles but its targets, and those to keep."""
        roles = {r: c for r, c in self.task.columns.items() if r not in self.task.targets}
        return {**roles, **{KEPT + name: name for name in self.keep}}

    @property
    def text_roles(self) -> tuple[str, ...]:
        """The task's, without its targets."""
        return tuple(role for role in self.task.text_roles if role in self.columns)

    @property
    def verbatim_roles(self) -> tuple[str, ...]:
        """The task's."""
        return self.task.verbatim_roles

    def source_of(self, split: Split) -> Source:
        """What the rows are to those who asked for predictions."""
        return Source("rows to predict for", "FINETUNE_PREDICT__INPUT")

    def problems(self, rows: Columns) -> list[str | None]:
        """What the task finds wrong with each row, targets aside."""
        return self.task.problems(self.task.completed(rows))

    def unreadable(self, rows: Columns, tokenizer: PreTrainedTokenizerFast) -> list[str | None]:
        """What the tokenizer can make nothing of, as the task finds it."""
        return self.task.unreadable(self.task.completed(rows), tokenizer)

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """Empty lists: rows without targets have no labels."""
        return [[] for _ in next(iter(rows.values()))]

    def kinds_of(self, rows: Columns) -> list[str]:
        """Nothing, for want of labels."""
        return []
