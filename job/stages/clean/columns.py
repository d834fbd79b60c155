"""From a source's columns to the task's roles: renamed, derived, selected."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from job.data.artifacts import FILE, LINE, Split
from job.errors import DataError, SettingsError
from job.settings import Clean, Data
from job.stages.clean.derive import Derived, bounded_memory
from job.tasks.row_rules import KEPT, RowRules

Values = list[str | None]

SHOWN_COLUMNS = 40
"""Of a file's columns, in a message."""


@dataclass(frozen=True)
class Selected:
    """A batch's rows: values by role, values of other columns in use, and why a row is bad."""

    roles: dict[str, Values]
    others: dict[str, Values]
    faults: list[str | None]


class Selector:
    """Applies `rename` and `derive`, then picks each role's column and those that settings name."""

    def __init__(
        self, clean: Clean, data: Data, rules: RowRules, slices: Sequence[str] = ()
    ) -> None:
        """
        Args:
            slices: columns by which held-out rows are put into parts.

        Raises:
            SettingsError: a template of `derive` has an error in its syntax, or a column is given a name
                that is the job's own.
        """
        _refuse_own({"RENAME": clean.rename.values(), "DERIVE": clean.derive})
        self._rename = clean.rename
        self._roles = dict(rules.columns)
        self._longest = data.max_row_bytes
        self._derived = [Derived.of(*item, self._longest) for item in clean.derive.items()]
        unique = (clean.unique,) if isinstance(clean.unique, str) else clean.unique
        self.unique = tuple(dict.fromkeys(unique))
        self.split_by = data.split_by
        self.sort_by = clean.sort_by.removeprefix("-") if clean.sort_by else None
        self.slices = tuple(dict.fromkeys(slices))
        self._others = {
            **dict.fromkeys(self.unique, "FINETUNE_CLEAN__UNIQUE"),
            **({self.sort_by: "FINETUNE_CLEAN__SORT_BY"} if self.sort_by else {}),
        }

    def check(self, names: Sequence[str], file: str, split: Split, *, held_out: bool) -> None:
        """Refuse a file that lacks a column.

        Args:
            split: that the file is given for.
            held_out: whether rows of it are scored, if not trained on.

        Raises:
            DataError: naming the setting, the file, the columns there are and the nearest name.
        """
        for old in self._rename:
            _require(old, names, file, "FINETUNE_CLEAN__RENAME")
        columns = [self._rename.get(name, name) for name in names]
        twice = [name for name, count in Counter(columns).items() if count > 1]
        if twice:
            raise DataError(
                f"{file}: FINETUNE_CLEAN__RENAME makes two columns {twice[0]!r}",
                hint="rename the other one too",
            )
        for derived in self._derived:
            for column in sorted(derived.columns):
                _require(column, columns, file, f"FINETUNE_CLEAN__DERIVE ({derived.name})")
            columns.append(derived.name)
        for role, column in self._roles.items():
            if role.startswith(KEPT):
                _require(column, columns, file, "FINETUNE_PREDICT__KEEP")
                continue
            setting = f"FINETUNE_DATA__COLUMNS__{role.upper()}"
            _require(column, columns, file, setting, f" for the role {role}")
        for column, setting in self._others.items():
            _require(column, columns, file, setting)
        if split == "train" and self.split_by:
            _require(self.split_by, columns, file, "FINETUNE_DATA__SPLIT_BY")
        if held_out:
            for column in self.slices:
                _require(column, columns, file, "FINETUNE_EVALUATE__SLICES")

    def select(self, batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, Selected]]:
        """The batch, in parts that become no longer than a row may be where columns are derived, each
        with its roles and other columns; a column that this part of a file lacks is null."""
        new = {self._rename.get(name, name): name for name in batch.schema.names}
        others = {*self._others, *self.slices, *([self.split_by] if self.split_by else [])}
        made = {derived.name for derived in self._derived}
        used = {*self._roles.values(), *others, *(c for d in self._derived for c in d.columns)}
        nothing: Values = [None] * batch.num_rows
        given = {
            name: batch.column(new[name]).to_pylist() if name in new else nothing for name in used
        }
        start = 0
        while start < batch.num_rows:
            columns, faults = self._derive(given, start, batch.num_rows)
            part = slice(start, start + len(faults))
            values = {n: columns[n] if n in made else column[part] for n, column in given.items()}
            yield (
                batch.slice(start, len(faults)),
                Selected(
                    {role: values[name] for role, name in self._roles.items()},
                    {name: values[name] for name in sorted(others)},
                    faults,
                ),
            )
            start = part.stop

    def _derive(
        self, given: Mapping[str, Values], start: int, end: int
    ) -> tuple[dict[str, Values], list[str | None]]:
        """The derived columns of some rows from `start` on, and why a row has none of them."""
        columns: dict[str, Values] = {derived.name: [] for derived in self._derived}
        if not self._derived:
            return columns, [None] * (end - start)
        faults: list[str | None] = []
        size = 0
        with bounded_memory(self._longest):
            while start + len(faults) < end and size < self._longest:
                row = {name: values[start + len(faults)] for name, values in given.items()}
                faults.append(self._derive_row(row))
                for name, values in columns.items():
                    values.append(row[name])
                    size += len(row[name] or "")
        return columns, faults

    def _derive_row(self, row: dict[str, str | None]) -> str | None:
        """Add the derived columns to a row; returns why one of them cannot be."""
        fault = None
        for derived in self._derived:
            try:
                row[derived.name] = derived.value(row)
            except MemoryError:
                row[derived.name] = None
                fault = fault or f"{derived.name!r} cannot be derived: it takes too much memory"
            except Exception as error:  # noqa: BLE001 - a template can fail in any way
                row[derived.name] = None
                kind = type(error).__name__
                fault = fault or f"{derived.name!r} cannot be derived: {kind}: {error}"
        return fault


def source_columns(schema: pa.Schema) -> list[str]:
    """The names of a part's columns that come from its file."""
    return [name for name in schema.names if name not in (FILE, LINE)]


def _refuse_own(given: Mapping[str, Iterable[str]]) -> None:
    """The job writes columns of its own beside those of the rows."""
    for setting, names in given.items():
        if taken := {FILE, LINE} & set(names):
            raise SettingsError(
                f"FINETUNE_CLEAN__{setting} makes a column {min(taken)}, a name that is taken by the job",
                hint="give it another name",
            )


def _require(column: str, names: Sequence[str], file: str, setting: str, what: str = "") -> None:
    if column in names:
        return
    near = difflib.get_close_matches(column, names, n=1)
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    listed = ", ".join(map(repr, names[:SHOWN_COLUMNS])) or "none"
    more = f" and {len(names) - SHOWN_COLUMNS:,} more" if len(names) > SHOWN_COLUMNS else ""
    raise DataError(
        f"{file}: no column {column!r}{what}{guess}; the columns are {listed}{more}",
        hint=_hint(setting, names),
    )


def _hint(setting: str, names: Sequence[str]) -> str:
    if "paragraphs" in names:  # a SQuAD document that was read as any other JSON
        return "set FINETUNE_DATA__FORMAT=squad"
    # the Hub's translation sets have a column of objects, from a language to its text
    inner = ", or with a dot to what is within it, as in translation.en" * ("translation" in names)
    return f"set {setting} to one of them{inner}"


def as_row(roles: Mapping[str, Sequence[str | None]], index: int) -> str:
    """One row as JSON, for the quarantine."""
    return json.dumps({role: values[index] for role, values in roles.items()}, ensure_ascii=False)
