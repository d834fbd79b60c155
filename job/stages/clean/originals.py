"""The texts of test rows as they were before they were cleaned: another night may clean them otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from job.data.artifacts import Split
from job.data.keys import Keys
from job.settings import Clean, Data
from job.stages.clean.splits import TEST, fractions, held_out
from job.stages.clean.text import changes
from job.tasks.row_rules import RowRules

BEFORE = "__before_"
"""Begins a column, between the passes only, of what a role's text was; null where it is the same."""

Texts = Sequence[str | None]


class Originals:
    """The texts of rows that may be test rows, as they were before they were cleaned."""

    def __init__(self, clean: Clean, data: Data, rules: RowRules) -> None:
        roles = [role for role in rules.text_roles if role not in rules.verbatim_roles]
        _, self._fraction = fractions(data)
        tested = data.train and (data.test or self._fraction)
        self.roles = tuple(roles) if tested and changes(clean) else ()
        """Of which they are kept."""

    def columns(
        self, split: Split, keys: Keys, before: Mapping[str, Texts], after: Mapping[str, Texts]
    ) -> list[pa.Array]:
        """A column for each of `roles`.

        Args:
            keys: by which rows are held out.
        """
        rows = self._tested(split, keys) if self.roles else []
        return [_differing(before[role], after[role], rows) for role in self.roles]

    def _tested(self, split: Split, keys: Keys) -> Sequence[int]:
        if split == "train" and self._fraction:
            tested: list[int] = np.flatnonzero(held_out(keys, 0, self._fraction) == TEST).tolist()
            return tested
        return range(len(keys)) if split == "test" else ()


def _differing(before: Texts, after: Texts, rows: Sequence[int]) -> pa.Array:
    """What was before in these rows, where it differs; null elsewhere."""
    changed = [row for row in rows if before[row] != after[row]]
    if not changed:
        return pa.nulls(len(after), pa.string())
    values: list[str | None] = [None] * len(after)
    for row in changed:
        values[row] = before[row]
    return pa.array(values, pa.string())
