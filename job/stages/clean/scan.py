"""The first pass: every row cleaned and set aside; what the decisions need of it stays in memory."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np
import pyarrow as pa

from job.data.arrow import Writer, schema_of, stream
from job.data.artifacts import FILE, LINE, SLICE, SPLITS, RawRows, Split
from job.data.keys import Keys
from job.data.quarantine import BadRow, write_bad
from job.runtime.stop import poll
from job.settings.protocols import HasClean, HasData, HasEvaluate
from job.stages.clean.columns import Selected, Selector, as_row, source_columns
from job.stages.clean.originals import BEFORE, Originals
from job.stages.clean.profile import WORDS
from job.stages.clean.splits import CODE, Codes, Labels, fractions, key_of, keys_of
from job.stages.clean.text import cleaned, is_empty
from job.tasks.lengths import word_counts
from job.tasks.row_rules import KEPT, RowRules

SORT = "__sort"
UNIQUE = "__unique_"
"""Columns that exist between the passes only: what rows are sorted by, and what must be unique."""


@dataclass
class Scanned:
    """The rows that are left, in the order of `path`, and what happened to the others."""

    path: Path
    """An Arrow stream: the roles, FILE, LINE, WORDS, and UNIQUE, SLICE, SORT and BEFORE columns where
    needed."""
    keys: Keys
    groups: Keys | None
    """The keys of `split_by` instead of the text's."""
    labels: Labels
    codes: Codes
    """The split that each row was given for."""
    unique: dict[str, Keys]
    bad: dict[Split, int]
    dropped: dict[Split, Counter[str]]


@dataclass
class _Kept:
    """A batch without its bad and its dropped rows."""

    roles: dict[str, list[str | None]]
    others: dict[str, list[str | None]]
    words: list[int]
    rows: list[int]
    """Where they were in the batch."""


class ScanSettings(HasClean, HasData, HasEvaluate, Protocol):
    """The sections that say which columns are read, and what is done to them."""


class Scan:
    """Reads raw rows part by part and writes those that can be used."""

    def __init__(
        self,
        settings: ScanSettings,
        rules: RowRules,
        raw: RawRows,
        scratch: Path,
    ) -> None:
        clean, data = settings.clean, settings.data
        self._clean, self._rules, self._raw = clean, rules, raw
        self._selector = Selector(clean, data, rules, settings.evaluate.slice_columns)
        self._originals = Originals(clean, data, rules)
        self._held_out = {"train": any(fractions(data)), "validation": True, "test": True}
        self._extra = {
            **{UNIQUE + name: name for name in self._selector.unique},
            **{SLICE + name: name for name in self._selector.slices},
            **({SORT: self._selector.sort_by} if self._selector.sort_by else {}),
        }
        # split_by matters where something is held out, that is in the training rows
        self._grouped = bool(data.split_by)
        size = sum(raw.read.values()) - sum(raw.bad.values())
        self._rows = 0
        self.result = Scanned(
            path=scratch / "scanned.arrow",
            keys=np.zeros(size, np.uint64),
            groups=np.zeros(size, np.uint64) if self._grouped else None,
            labels=np.zeros(size, np.uint32),
            codes=np.zeros(size, np.uint8),
            unique={name: np.zeros(size, np.uint64) for name in self._selector.unique},
            bad=dict(raw.bad),
            dropped={split: Counter() for split in SPLITS},
        )

    def run(self, quarantine: TextIO) -> Scanned:
        """All rows of all splits.

        Raises:
            DataError: a file lacks a column.
        """
        with Writer(self.result.path, self._schema()) as writer:
            for split, parts in self._raw.tables.items():
                self._check(split, parts)
                for part in parts:
                    for batch in stream(part):
                        for rows, selected in self._selector.select(batch):
                            poll()
                            self._batch(split, rows, selected, writer, quarantine)
        self._trim()
        return self.result

    def _check(self, split: Split, parts: Sequence[Path]) -> None:
        """Every file's columns: those of its last part, since they only grow."""
        columns: dict[int, list[str]] = {}
        for part in parts:
            first = next(stream(part), None)
            if first is not None:
                columns[first.column(FILE)[0].as_py()] = source_columns(schema_of(part))
        for index, names in columns.items():
            file, held_out = self._raw.files[index], self._held_out[split]
            self._selector.check(names, file, split, held_out=held_out)

    def _schema(self) -> pa.Schema:
        before = [BEFORE + role for role in self._originals.roles]
        return pa.schema(
            [(name, pa.string()) for name in self._rules.columns]
            + [(FILE, pa.int32()), (LINE, pa.int64()), (WORDS, pa.int32())]
            + [(name, pa.string()) for name in (*self._extra, *before)]
        )

    def _batch(
        self,
        split: Split,
        batch: pa.RecordBatch,
        selected: Selected,
        writer: Writer,
        quarantine: TextIO,
    ) -> None:
        selected = self._stripped(selected)
        good = self._without_bad(split, selected, batch, quarantine)
        kept = self._without_dropped(split, selected, good)
        if not kept.rows:
            return
        keys = self._remember(split, kept)
        before = {role: _pick(selected.roles[role], kept.rows) for role in self._originals.roles}
        rows = pa.array(kept.rows, pa.int64())
        columns = [pa.array(values, pa.string()) for values in kept.roles.values()]
        places = [batch.column(FILE).take(rows), batch.column(LINE).take(rows)]
        writer.write(
            pa.RecordBatch.from_arrays(
                [*columns, *places, pa.array(kept.words, pa.int32())]
                + [pa.array(kept.others[name], pa.string()) for name in self._extra.values()]
                + self._originals.columns(split, keys, before, kept.roles),
                schema=self._schema(),
            )
        )

    def _stripped(self, selected: Selected) -> Selected:
        """White space around a label, unlike that around a text, is never meant."""
        roles = {
            role: values
            if role in self._rules.text_roles or role.startswith(KEPT)
            else [None if value is None else value.strip() for value in values]
            for role, values in selected.roles.items()
        }
        return replace(selected, roles=roles)

    def _without_bad(
        self, split: Split, selected: Selected, batch: pa.RecordBatch, quarantine: TextIO
    ) -> list[int]:
        """The rows without a fault; the others go to the quarantine."""
        problems = self._rules.problems(selected.roles)
        reasons = [a or b for a, b in zip(selected.faults, problems, strict=True)]
        if not any(reasons):
            return list(range(len(reasons)))
        files, lines = batch.column(FILE).to_pylist(), batch.column(LINE).to_pylist()
        for i, reason in enumerate(reasons):
            if reason:
                name = self._raw.files[files[i]]
                row = BadRow(lines[i], reason, as_row(selected.roles, i))
                write_bad(quarantine, split, name, [row])
                self.result.bad[split] = self.result.bad.get(split, 0) + 1
        return [i for i, reason in enumerate(reasons) if not reason]

    def _without_dropped(self, split: Split, selected: Selected, good: list[int]) -> _Kept:
        """The texts cleaned, and the rows that have the wanted length."""
        roles = {role: _pick(values, good) for role, values in selected.roles.items()}
        for role in self._rules.text_roles:
            if role not in self._rules.verbatim_roles:
                roles[role] = cleaned(roles[role], self._clean)
        texts = [roles[role] for role in self._rules.text_roles]
        words = word_counts(texts[0])
        reasons = self._reasons(texts, words)
        rows = list(range(len(good)))
        if any(reasons):
            self.result.dropped[split].update(reason for reason in reasons if reason)
            rows = [i for i, reason in enumerate(reasons) if reason is None]
        return _Kept(
            {role: _pick(values, rows) for role, values in roles.items()},
            {name: _pick(_pick(v, good), rows) for name, v in selected.others.items()},
            [words[i] for i in rows],
            [good[i] for i in rows],
        )

    def _reasons(self, texts: list[list[str | None]], words: list[int]) -> list[str | None]:
        low, high = self._clean.min_words, self._clean.max_words
        empty = [False] * len(words)
        if self._clean.drop_empty:
            empty = [any(map(is_empty, row)) for row in zip(*texts, strict=True)]
        return [
            "empty"
            if nothing
            else "too few words"
            if count < low
            else "too many words"
            if high is not None and count > high
            else None
            for count, nothing in zip(words, empty, strict=True)
        ]

    def _remember(self, split: Split, kept: _Kept) -> Keys:
        """Returns the keys by which the rows are held out."""
        result, rules = self.result, self._rules
        new = slice(self._rows, self._rows + len(kept.rows))
        result.keys[new] = keys_of([kept.roles[role] for role in rules.text_roles])
        result.codes[new] = CODE[split]
        others = [values for role, values in kept.roles.items() if role not in rules.text_roles]
        if others:
            result.labels[new] = [_checksum(row) for row in zip(*others, strict=True)]
        if result.groups is not None and self._selector.split_by:
            result.groups[new] = _group_keys(kept.others[self._selector.split_by], result.keys[new])
        for name, keys in result.unique.items():
            keys[new] = [_exact_key(value) for value in kept.others[name]]
        self._rows = new.stop
        return (result.keys if result.groups is None else result.groups)[new]

    def _trim(self) -> None:
        result, rows = self.result, self._rows
        result.keys, result.labels = result.keys[:rows], result.labels[:rows]
        result.codes = result.codes[:rows]
        result.unique = {name: keys[:rows] for name, keys in result.unique.items()}
        if result.groups is not None:
            result.groups = result.groups[:rows]


def _pick(values: list[str | None], rows: list[int]) -> list[str | None]:
    return values if len(values) == len(rows) else [values[i] for i in rows]


def _checksum(values: Sequence[str | None]) -> int:
    return zlib.crc32("\x1f".join([value or "" for value in values]).encode())


def _exact_key(value: str | None) -> int:
    """A 64-bit key that differs wherever the value does; 0 for null, which may occur often."""
    if value is None:
        return 0
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "big") or 1


def _group_keys(values: Sequence[str | None], texts: Keys) -> Keys:
    """A row without a group goes by its text: all of them together could empty a split."""
    pairs = zip(values, texts.tolist(), strict=True)
    return np.array([text if v is None else key_of(v) for v, text in pairs], np.uint64)
