"""The files that cleaned rows go to: one a split, one in the form of a part of the gate, and one of what
was read."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from job.data.arrow import Writer, schema_of
from job.data.artifacts import FILE, GATE, GIVEN, GROUP, KEY, LINE, READ, SLICE, Split
from job.stages.clean.originals import BEFORE
from job.stages.clean.scan import SORT, Scanned
from job.stages.clean.splits import TEST, Rows
from job.tasks.row_rules import RowRules

_READ = pa.schema([(KEY, pa.uint64()), (FILE, pa.int32())])

Own = Mapping[str, pa.Array]
"""The columns KEY and GROUP."""


class Tables:
    """Writes `{split}.arrow` for each split that has rows, and GATE and READ where some are trained on.

    The columns are those that CleanRows names, and SORT, to sort by.
    """

    def __init__(
        self, scanned: Scanned, rules: RowRules, folder: Path, *, trained_on: bool
    ) -> None:
        self._scanned, self._rules, self._folder = scanned, rules, folder
        names = schema_of(scanned.path).names
        self._slices = [name for name in names if name.startswith(SLICE)]
        self._columns = [*rules.columns, FILE, LINE, *(name for name in names if name == SORT)]
        self._open = ExitStack()
        self._writers: dict[Split, Writer] = {}
        self._gate: Writer | None = None
        self._read: Writer | None = None
        if trained_on:
            self._gate = self._open.enter_context(Writer(folder / GATE, self._schema()))
            self._read = self._open.enter_context(Writer(folder / READ, _READ))

    def read(self, rows: pa.RecordBatch, numbers: slice) -> None:
        """Note a batch of `scanned`, whatever becomes of its rows; `numbers` are their places in it."""
        if self._read is not None:
            columns = [pa.array(self._scanned.keys[numbers]), rows.column(FILE)]
            noted = pa.RecordBatch.from_arrays(columns, schema=_READ)
            self._read.write(noted.filter(pa.array(self._scanned.codes[numbers] != TEST)))

    def write(self, split: Split, rows: pa.RecordBatch, numbers: Rows) -> None:
        """Append rows of `scanned`; `numbers` are their places in it."""
        chosen = rows.select(self._columns + self._slices * (split != "train"))
        if self._gate is not None:
            own = self._identities(numbers)
            for name, values in own.items():
                chosen = chosen.append_column(name, values)
            if split == "test":
                self._gate.write(self._as_given(rows, numbers, own))
        if split not in self._writers:
            writer = Writer(self._folder / f"{split}.arrow", chosen.schema)
            self._writers[split] = self._open.enter_context(writer)
        self._writers[split].write(chosen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def _identities(self, numbers: Rows) -> Own:
        """A row that has no group goes by its text."""
        keys, groups = self._scanned.keys[numbers], self._scanned.groups
        if groups is None:
            return {KEY: pa.array(keys), GROUP: pa.nulls(len(keys), pa.uint64())}
        own = groups[numbers]
        return {KEY: pa.array(keys), GROUP: pa.array(own, mask=own == keys)}

    def _schema(self) -> pa.Schema:
        """That of `CleanRows.gate`."""
        texts = [(name, pa.string()) for name in (*self._rules.columns, *self._slices)]
        return pa.schema([(KEY, pa.uint64()), (GROUP, pa.uint64()), (GIVEN, pa.bool_()), *texts])

    def _as_given(self, rows: pa.RecordBatch, numbers: Rows, own: Own) -> pa.RecordBatch:
        """Test rows in the form of `CleanRows.gate`."""
        columns = {**own, GIVEN: pa.array(self._scanned.codes[numbers] == TEST)}
        for name in (*self._rules.columns, *self._slices):
            columns[name] = rows.column(name)
            if BEFORE + name in rows.schema.names:
                columns[name] = pc.coalesce(rows.column(BEFORE + name), rows.column(name))
        return pa.RecordBatch.from_pydict(columns, schema=self._schema())
