"""The night's rows: which are new to the champion, with which labels, some of them, and which repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.data.arrow import stream
from job.data.artifacts import FILE, KEY, CleanRows, Split
from job.data.keys import among
from job.registry.lineage import KnownRows, Lineage
from job.runtime.stop import poll
from job.stages.clean.profile import labels_in
from job.stages.clean.splits import drawn
from job.tasks.row_rules import RowRules

_SALT = 0x636865636B73
"""Another draw than those that decide what is trained on."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Share:
    """So many of some rows."""

    count: int
    of: int


@dataclass(frozen=True)
class Before:
    """What tells new rows from those before."""

    known: KnownRows | None
    """What the champion knows; None without a champion, or where that is no longer to be found."""
    added: frozenset[int] | None
    """The numbers of the files that are added to the champion's: all without a champion; None where that
    cannot be said, or none of the champion's is left, so that the new ones may hold its rows again."""

    @classmethod
    def of(cls, names: Sequence[str], lineage: Lineage | None) -> Before:
        """What a champion's lineage tells.

        Args:
            names: of the night's files, those in an archive behind the archive's name and a `!`.
        """
        if lineage is None:
            return cls(None, frozenset(range(len(names))))
        archives = [(name, name.partition("!")[0]) for name in names]
        old = lineage.files or frozenset()
        added = frozenset(i for i, each in enumerate(archives) if not old & {*each})
        return cls(lineage.rows, added if len(added) < len(names) else None)

    @property
    def tells(self) -> bool:
        """Whether there is anything to go by."""
        return self.known is not None or self.added is not None

    def own(self, batch: pa.RecordBatch) -> Mask:
        """Which rows are of the files that are added."""
        return np.isin(batch.column(FILE).to_numpy(), sorted(self.added or ()))

    def new(self, batch: pa.RecordBatch) -> Mask:
        """Which rows are new: those whose text the champion does not know, or, where that is no longer to
        be found, those of the files that are added."""
        if self.known is None:
            return self.own(batch)
        return ~self.known.know(batch.column(KEY).to_numpy())


@dataclass(frozen=True)
class Night:
    """The night's train and validation rows as they are before they are encoded."""

    rows: int
    """Those that are new."""
    labels: Mapping[str, int]
    """How often each label occurs among them."""
    sample: pa.Table
    """Some of them by role, chosen by their text's hash, each text once."""
    validated: pa.Table
    """The same of the validation rows that the champion was validated with."""

    @classmethod
    def of(cls, rows: CleanRows, before: Before, rules: RowRules, most: int) -> Night:
        """The night's rows beside what was before.

        Args:
            most: rows of each sample.
        """
        new, labels = Sample(rules, most), Counter[str]()
        for batch in _batches(rows, "train", "validation"):
            chosen = batch.filter(pa.array(before.new(batch)))
            labels += labels_in(chosen, rules)[0]
            new.add(chosen)
        old = Sample(rules, most)
        if before.known is not None:
            for batch in _batches(rows, "validation"):
                keys = batch.column(KEY).to_numpy()
                old.add(batch.filter(pa.array(among(keys, before.known.validated))))
        return cls(new.rows, dict(labels), new.table(), old.table())


def repeated(scanned: Path, before: Before) -> Share:
    """The night's rows whose text is there already in an earlier one of them. The night's rows are those
    of the files that are added, or where there are none, those that are new.

    Args:
        scanned: KEY and FILE of all rows as they were read, before any was dropped.
    """
    parts, own = [np.zeros(0, np.uint64)], before.own if before.added else before.new
    for batch in stream(scanned):
        poll()
        parts.append(batch.column(KEY).to_numpy()[own(batch)])
    every = np.concatenate(parts)
    return Share(len(every) - len(np.unique(every)), len(every))


def learned_before(scanned: Path, before: Before, known: KnownRows) -> Share:
    """The different texts of the files that are added, and how many of them the champion knows; see
    `repeated`."""
    parts = [np.zeros(0, np.uint64)]
    parts += [batch.column(KEY).to_numpy()[before.own(batch)] for batch in stream(scanned)]
    every = np.unique(np.concatenate(parts))
    return Share(int(known.know(every).sum()), len(every))


def _batches(rows: CleanRows, *splits: Split) -> Iterator[pa.RecordBatch]:
    for split in splits:
        for batch in stream(rows.tables[split]) if split in rows.tables else ():
            poll()
            yield batch


class Sample:
    """Of rows that come in batches at most so many, each text once: those of the lowest draws."""

    def __init__(self, rules: RowRules, most: int) -> None:
        self._roles, self._most = list(rules.columns), most
        self._draws = np.zeros(0, np.uint64)
        self._kept = pa.table({role: pa.array([], pa.string()) for role in self._roles})
        self.rows = 0
        """All that came."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take what belongs to the sample of these rows and those before."""
        self.rows += batch.num_rows
        draws = np.append(self._draws, drawn(batch.column(KEY).to_numpy(), _SALT))
        lowest = np.unique(draws, return_index=True)[1][: self._most]
        both = pa.concat_tables([self._kept, pa.Table.from_batches([batch]).select(self._roles)])
        self._draws, self._kept = draws[lowest], both.take(pa.array(lowest))

    def table(self) -> pa.Table:
        """The sample, by role."""
        return self._kept.combine_chunks()
