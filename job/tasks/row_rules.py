"""What cleaning asks of a task, or of whatever else says which rows can be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from job.data.artifacts import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Columns = Mapping[str, Sequence[str | None]]
"""A batch of rows by role. A value is text; what is not text in its source is JSON."""

KEPT = "keep "
"""Begins the name of a column that is only carried along and has no role; no role begins with it."""


class Source(NamedTuple):
    """How messages speak of the rows that were given for a split."""

    rows: str
    """Such as `train rows`."""
    setting: str
    """The setting that names their files."""


def source_of(split: Split) -> Source:
    """The rows of a data set."""
    return Source(f"{split} rows", f"FINETUNE_DATA__{split.upper()}")


class RowRules(Protocol):
    """The part of a task that preparation needs before any model is known."""

    @property
    def columns(self) -> Mapping[str, str]:
        """The source column of each role that is used; a missing column is an error."""
        ...

    @property
    def text_roles(self) -> tuple[str, ...]:
        """Roles that hold text: they are cleaned, and their hash decides a row's split."""
        ...

    @property
    def verbatim_roles(self) -> tuple[str, ...]:
        """Text roles that are left as they are, because something counts their characters or words."""
        ...

    def source_of(self, split: Split) -> Source:
        """What messages call the rows that were given for a split."""
        ...

    def problems(self, rows: Columns) -> list[str | None]:
        """Why each row cannot be used (`no label`), or None."""
        ...

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """The labels of each row, for counting; empty lists where a task has none."""
        ...

    def kinds_of(self, rows: Columns) -> list[str]:
        """How each row's label is written (ONE, LIST or TWO of `labels`), where the task goes by that
        and all must be alike; else nothing."""
        ...


class TokenizerRules(RowRules, Protocol):
    """Rules that ask more of a row where the tokenizer is known that will read it."""

    def unreadable(self, rows: Columns, tokenizer: PreTrainedTokenizerFast) -> list[str | None]:
        """Why the tokenizer can make nothing of each row, or None; asked of rows without a problem."""
        ...


@dataclass(frozen=True)
class Readable:
    """Rules by which a row can be used if it has no problem and the tokenizer can read it."""

    rules: TokenizerRules
    tokenizer: PreTrainedTokenizerFast

    @property
    def columns(self) -> Mapping[str, str]:
        """The rules' own."""
        return self.rules.columns

    @property
    def text_roles(self) -> tuple[str, ...]:
        """The rules' own."""
        return self.rules.text_roles

    @property
    def verbatim_roles(self) -> tuple[str, ...]:
        """The rules' own."""
        return self.rules.verbatim_roles

    def source_of(self, split: Split) -> Source:
        """The rules' own."""
        return self.rules.source_of(split)

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """The rules' own."""
        return self.rules.labels_of(rows)

    def kinds_of(self, rows: Columns) -> list[str]:
        """The rules' own."""
        return self.rules.kinds_of(rows)

    def problems(self, rows: Columns) -> list[str | None]:
        """The rules' own, or why the tokenizer cannot read the row."""
        problems = list(self.rules.problems(rows))
        good = [i for i, problem in enumerate(problems) if problem is None]
        chosen = {role: [values[i] for i in good] for role, values in rows.items()}
        if good:
            for i, reason in zip(good, self.rules.unreadable(chosen, self.tokenizer), strict=True):
                problems[i] = reason
        return problems
