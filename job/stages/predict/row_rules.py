"""What predicting asks of a row: less than training does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from job.tasks.base import Task
from job.tasks.row_rules import KEPT, Columns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


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

    def problems(self, rows: Columns) -> list[str | None]:
        """What the task finds wrong with each row, targets aside."""
        return self.task.problems(self.task.completed(rows))

    def unreadable(self, rows: Columns, tokenizer: PreTrainedTokenizerFast) -> list[str | None]:
        """What the tokenizer can make nothing of, as the task finds it."""
        return self.task.unreadable(self.task.completed(rows), tokenizer)

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """Empty lists: rows without targets have no labels."""
        return [[] for _ in next(iter(rows.values()))]
