"""The night's rows that the champion has not learned from: how many, with which labels, and some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from job.data.arrow import stream
from job.data.artifacts import FILE, KEY, CleanRows, Split
from job.registry.lineage import Keys, KnownRows, Lineage, among
from job.runtime.stop import poll
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
class Night:
    """The night's train and validation rows as they are before they are encoded."""

    rows: int
    """Those whose text the champion does not know; all of them without a champion."""
    labels: Mapping[str, int]
    """How often each label occurs among them."""
    sample: pa.Table
    """Some of them, chosen by their text's hash."""
    known: pa.Table
    """Some of the validation rows that the champion was validated with."""


def night_of(rows: CleanRows, known: KnownRows | None, rules: RowRules, most: int) -> Night:
    """The night's rows beside what the champion knows.

    Args:
        most: rows of each sample.
    """
    new: dict[Split, Mask] = {}
    old: dict[Split, Mask] = {}
    keys = {split: _keys(rows.tables[split]) for split in rows.tables if split != "test"}
    for split, values in keys.items():
        new[split] = np.ones(len(values), np.bool_) if known is None else ~known.know(values)
    if known is not None and "validation" in keys:
        old["validation"] = among(keys["validation"], known.validated)
    labels: Counter[str] = Counter()
    for split, mask in new.items():
        for batch in _chosen(rows.tables[split], mask):
            labels += labels_of(batch, rules)
    return Night(
        sum(int(mask.sum()) for mask in new.values()),
        dict(labels),
        _sample(rows, keys, new, most),
        _sample(rows, keys, old, most),
    )


def labels_of(batch: pa.RecordBatch, rules: RowRules) -> Counter[str]:
    """How often each label occurs in a batch with the columns of the roles."""
    others = [role for role in rules.columns if role not in rules.text_roles]
    counts: Counter[str] = Counter()
    if others:
        # equal values have equal labels, and there are usually few of them
        distinct = pa.table(batch.select(others).columns, others).group_by(others)
        counted = distinct.aggregate([([], "count_all")])
        values = {role: counted.column(role).to_pylist() for role in others}
        times = counted.column("count_all").to_pylist()
        for labels, count in zip(rules.labels_of(values), times, strict=True):
            for label in labels:
                counts[label] += count
    return counts


def repeated(scanned: Path, files: frozenset[int], known: KnownRows | None) -> Share:
    """The night's rows whose text is there already in an earlier one of them.

    The night's rows are those of its own files, and those whose text the champion does not know.

    Args:
        scanned: KEY and FILE of all rows as they were read, before any was dropped.
        files: those that the champion's run did not read; empty where they are all its own.
    """
    parts = [np.zeros(0, np.uint64)]
    for keys, own in _by_file(scanned, files):
        parts.append(keys[own if known is None else own | ~known.know(keys)])
    every = np.concatenate(parts)
    return Share(len(every) - len(np.unique(every)), len(every))


def learned_before(scanned: Path, files: frozenset[int], known: KnownRows) -> Share:
    """The different texts of the night's own files, and how many of them the champion knows; see
    `repeated`."""
    parts = [np.zeros(0, np.uint64)]
    parts += [keys[own] for keys, own in _by_file(scanned, files)]
    every = np.unique(np.concatenate(parts))
    return Share(int(known.know(every).sum()), len(every))


def added_files(names: tuple[str, ...], lineage: Lineage | None) -> frozenset[int] | None:
    """The numbers of the files that are added to those of the champion's run; None where that cannot be
    said, or none of its files is left, so that the new ones may hold all their rows again.

    Args:
        names: of the night's files, those in an archive behind the archive's name and a `!`.
    """
    if lineage is None:
        return frozenset(range(len(names)))
    if lineage.files is None:
        return None
    archives = [name.partition("!")[0] for name in names]
    if not lineage.files & {*names, *archives}:
        return None
    pairs = zip(names, archives, strict=True)
    return frozenset(i for i, each in enumerate(pairs) if not lineage.files & {*each})


def _by_file(scanned: Path, files: frozenset[int]) -> Iterator[tuple[Keys, Mask]]:
    """The keys of each batch, and which of them are of these files."""
    numbers = np.array(sorted(files), np.int32)
    for batch in stream(scanned):
        poll()
        yield batch.column(KEY).to_numpy(), np.isin(batch.column(FILE).to_numpy(), numbers)


def _keys(path: Path) -> Keys:
    parts = [batch.column(KEY).to_numpy() for batch in stream(path)]
    return np.concatenate([np.zeros(0, np.uint64), *parts])


def _chosen(path: Path, mask: Mask) -> Iterator[pa.RecordBatch]:
    """The rows of a stream that a mask chooses."""
    start = 0
    for batch in stream(path):
        poll()
        part = mask[start : start + batch.num_rows]
        start += batch.num_rows
        if part.any():
            yield batch.filter(pa.array(part))


def _sample(
    rows: CleanRows, keys: Mapping[Split, Keys], masks: Mapping[Split, Mask], most: int
) -> pa.Table:
    """At most so many of the rows that the masks choose, each text once: those of the lowest draws."""
    draws = {split: drawn(keys[split], _SALT) for split in masks}
    chosen = [np.unique(draws[split][mask]) for split, mask in masks.items()]
    lowest = np.unique(np.concatenate([np.zeros(0, np.uint64), *chosen]))[:most]
    batches: list[pa.RecordBatch] = []
    for split, mask in masks.items():
        first = np.zeros(len(mask), np.bool_)
        own = np.flatnonzero(mask)
        first[own[np.unique(draws[split][own], return_index=True)[1]]] = True
        if len(lowest):
            batches += _chosen(rows.tables[split], first & (draws[split] <= lowest[-1]))
    schema = next(iter(stream(next(iter(rows.tables.values()))))).schema
    return pa.Table.from_batches(batches, schema if not batches else None)
