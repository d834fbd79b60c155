"""From a source's columns to the task's roles: renamed, derived, selected."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from job.data.artifacts import FILE, LINE
from job.errors import DataError, SettingsError
from job.settings import Clean, Data
from job.tasks.row_rules import KEPT, RowRules

if TYPE_CHECKING:
    from jinja2 import Template

Values = list[str | None]

SHOWN_COLUMNS = 40
"""Of a file's columns, in a message."""


@dataclass(frozen=True)
class Selected:
    """A batch's rows: values by role, values of other columns in use, and why a row is bad."""

    roles: dict[str, Values]
    others: dict[str, Values]
    faults: list[str | None]


@dataclass(frozen=True)
class _Derived:
    template: Template
    columns: frozenset[str]
    """The columns that it names."""


class Selector:
    """Applies `rename` and `derive`, then picks each role's column and those that settings name."""

    def __init__(self, clean: Clean, data: Data, rules: RowRules) -> None:
        """
        Raises:
            SettingsError: a template of `derive` has an error in its syntax.
        """
        self._rename = clean.rename
        self._roles = dict(rules.columns)
        self._derived = {name: _compile(name, source) for name, source in clean.derive.items()}
        unique = (clean.unique,) if isinstance(clean.unique, str) else clean.unique
        self.unique = tuple(dict.fromkeys(unique))
        self.split_by = data.split_by
        self.sort_by = clean.sort_by.removeprefix("-") if clean.sort_by else None
        self._others = {
            **dict.fromkeys(self.unique, "FINETUNE_CLEAN__UNIQUE"),
            **({self.sort_by: "FINETUNE_CLEAN__SORT_BY"} if self.sort_by else {}),
        }

    def check(self, names: Sequence[str], file: str, *, grouped: bool) -> None:
        """Refuse a file that lacks a column; `grouped` says whether `split_by` is needed in it.

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
        for name, derived in self._derived.items():
            for column in sorted(derived.columns):
                _require(column, columns, file, f"FINETUNE_CLEAN__DERIVE ({name})")
            columns.append(name)
        for role, column in self._roles.items():
            if role.startswith(KEPT):
                _require(column, columns, file, "FINETUNE_PREDICT__KEEP")
                continue
            setting = f"FINETUNE_DATA__COLUMNS__{role.upper()}"
            _require(column, columns, file, setting, f" for the role {role}")
        for column, setting in self._others.items():
            _require(column, columns, file, setting)
        if grouped and self.split_by:
            _require(self.split_by, columns, file, "FINETUNE_DATA__SPLIT_BY")

    def select(self, batch: pa.RecordBatch) -> Selected:
        """The batch's roles and other columns; a column that this part of a file lacks is null."""
        new = {self._rename.get(name, name): name for name in batch.schema.names}
        nothing: Values = [None] * batch.num_rows
        values: dict[str, Values] = {}
        faults: list[str | None] = [None] * batch.num_rows

        def column(name: str) -> Values:
            if name not in values:
                values[name] = batch.column(new[name]).to_pylist() if name in new else nothing
            return values[name]

        for name, derived in self._derived.items():
            inputs = {used: column(used) for used in derived.columns}
            values[name] = _render(name, derived.template, inputs, faults)
        others = {*self._others, *([self.split_by] if self.split_by else [])}
        return Selected(
            {role: column(name) for role, name in self._roles.items()},
            {name: column(name) for name in sorted(others)},
            faults,
        )


def source_columns(schema: pa.Schema) -> list[str]:
    """The names of a part's columns that come from its file."""
    return [name for name in schema.names if name not in (FILE, LINE)]


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


def _compile(name: str, source: str) -> _Derived:
    from jinja2 import StrictUndefined, TemplateSyntaxError, meta
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=lambda value: "" if value is None else value,
        autoescape=False,  # the result is training text, not HTML
    )
    try:
        names = meta.find_undeclared_variables(environment.parse(source))
        template = environment.from_string(source)
    except TemplateSyntaxError as error:
        raise SettingsError(
            f"FINETUNE_CLEAN__DERIVE: the template of {name!r} cannot be read: {error}",
            hint='write it as in {"text": "{{title}} {{body}}"}',
        ) from None
    return _Derived(template, frozenset(names - environment.globals.keys()))


def _render(
    name: str, template: Template, inputs: Mapping[str, Values], faults: list[str | None]
) -> Values:
    rendered: Values = []
    for i in range(len(faults)):
        try:
            rendered.append(template.render({used: values[i] for used, values in inputs.items()}))
        except Exception as error:  # noqa: BLE001 - a template can fail in any way
            rendered.append(None)
            faults[i] = faults[i] or f"{name!r} cannot be derived: {type(error).__name__}: {error}"
    return rendered


def as_row(roles: Mapping[str, Sequence[str | None]], index: int) -> str:
    """One row as JSON, for the quarantine."""
    return json.dumps({role: values[index] for role, values in roles.items()}, ensure_ascii=False)
