"""What profile.json says of the cleaned rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from job.data.artifacts import FILE, SPLITS, RawRows, Split
from job.stages.clean.splits import Decision
from job.tasks.lengths import bits_of, length_range
from job.tasks.row_rules import RowRules

WORDS = "__words"
"""The column of word counts between the two passes."""


@dataclass
class Written:
    """Counts over the rows of one split as they are written."""

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Rows by how their label is written, where that matters."""
    words: Counter[int] = field(default_factory=Counter)
    """Rows by the number of bits of their word count: 0, 1, 2-3, 4-7, ..."""
    files: Counter[int] = field(default_factory=Counter)

    def add(self, batch: pa.RecordBatch, rules: RowRules) -> None:
        """Count a batch with the columns of the roles, FILE and WORDS."""
        self.rows += batch.num_rows
        labels, kinds = labels_in(batch, rules)
        self.labels += labels
        self.kinds += kinds
        for number, count in _counted(bits_of(batch.column(WORDS).to_numpy())):
            self.words[number] += count
        for number, count in _counted(batch.column(FILE).to_numpy()):
            self.files[number] += count


def labels_in(batch: pa.RecordBatch, rules: RowRules) -> tuple[Counter[str], Counter[str]]:
    """How often each label occurs in a batch with the columns of the roles, and each kind of label."""
    counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    others = [role for role in rules.columns if role not in rules.text_roles]
    if not others:
        return counts
    # equal values have equal labels, and there are usually few of them
    distinct = pa.table(batch.select(others).columns, others).group_by(others)
    counted = distinct.aggregate([([], "count_all")])
    values = {role: counted.column(role).to_pylist() for role in others}
    times = counted.column("count_all").to_pylist()
    for labels, count in zip(rules.labels_of(values), times, strict=True):
        for label in labels:
            counts[0][label] += count
    for kind, count in zip(rules.kinds_of(values), times, strict=False):
        counts[1][kind] += count
    return counts


def _counted(values: Any) -> list[tuple[int, int]]:
    numbers, counts = np.unique(values, return_counts=True)
    return list(zip(numbers.tolist(), counts.tolist(), strict=True))


def profile(
    raw: RawRows,
    bad: Mapping[Split, int],
    dropped: Mapping[Split, Counter[str]],
    decision: Decision,
    written: Mapping[Split, Written],
) -> dict[str, Any]:
    """A JSON-able account of every row: `splits` (read, bad, dropped by reason, rows, duplicates,
    conflicting_labels, labels, words, files) and `cross_split`.

    `read` and `bad` are of the files given for a split; what is held out is read with the training
    files. Word counts are in ranges that double: "0", "1", "2-3", "4-7", ...
    """
    splits = {}
    for split in SPLITS:
        if split not in written and split not in raw.read:
            continue
        counts = written.get(split, Written())
        splits[split] = {
            "read": raw.read.get(split, 0),
            "bad": bad.get(split, 0),
            "dropped": dict(sorted((dropped[split] + decision.dropped[split]).items())),
            "rows": counts.rows,
            "duplicates": decision.duplicates[split],
            "conflicting_labels": decision.conflicting[split],
            "labels": dict(sorted(counts.labels.items())),
            "words": {length_range(bits): counts.words[bits] for bits in sorted(counts.words)},
            "files": _files(counts.files, raw.files),
        }
    return {"splits": splits, "cross_split": dict(decision.cross)}


def _files(counts: Counter[int], names: Sequence[str]) -> dict[str, int]:
    rows: Counter[str] = Counter()
    for index in sorted(counts):
        rows[names[index]] += counts[index]
    return dict(rows)
