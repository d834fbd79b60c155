"""What cleaning asks of a task, or of whatever else says which rows can be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

Columns = Mapping[str, Sequence[str | None]]
"""A batch of rows by role. A value is text; what is not text in its source is JSON."""

KEPT = "keep "
"""Begins the name of a column that is only carried along and has no role; no role begins with it."""


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

    def problems(self, rows: Columns) -> list[str | None]:
        """Why each row cannot be used (`no label`), or None."""
        ...

    def labels_of(self, rows: Columns) -> list[list[str]]:
        """The labels of each row, for counting; empty lists where a task has none."""
        ...
