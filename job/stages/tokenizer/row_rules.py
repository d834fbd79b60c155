"""The rules of rows that a tokenizer is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from job.data.artifacts import Split
from job.tasks.row_rules import Columns, Source, source_of


@dataclass(frozen=True)
class TextRules:
    """The rules of rows that a tokenizer is trained on: a text, and nothing else."""

    columns: dict[str, str]
    text_roles: ClassVar[tuple[str, ...]] = ("text",)
    verbatim_roles: ClassVar[tuple[str, ...]] = ()

    def source_of(self, split: Split) -> Source:
        """What a data set's rows are called."""
        return source_of(split)

    def problems(self, rows: Columns) -> list[str | None]:
        """A row needs a text."""
        return ["no text" if text is None else None for text in rows["text"]]

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """No labels."""
        return [[] for _ in rows["text"]]

    def kinds_of(self, rows: Columns) -> list[str]:
        """Nothing, for want of labels."""
        return []
