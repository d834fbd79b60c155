"""A label that the job's own split would take from the training rows: one row of it stays in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from job.data.arrow import stream
from job.runtime.stop import poll
from job.stages.clean.scan import Scanned
from job.stages.clean.splits import NOTHING, TRAIN, Codes, Mask, Rows
from job.tasks.row_rules import RowRules
from job.telemetry import warn

SHOWN = 5
"""Of the labels that are named in the log."""


@dataclass(frozen=True)
class Kept:
    """What is done so that every label can be learned."""

    needed: Rows = field(default_factory=lambda: NOTHING)
    """A training row of each label, which no draw may drop."""
    moved: int = 0
    """How many rows went back to the training rows, whose label only held-out rows had."""


def keep_in_train(scanned: Scanned, codes: Codes, rules: RowRules, in_gate: Mask) -> Kept:
    """Move to the training rows what is needed for each label that only rows held out of them have.

    Of such a label the row with the highest key moves, with all that share its text or group: so
    neither the order of rows and files nor the seed matter.

    Args:
        codes: each row's split, changed in place; `scanned.codes` are the splits the rows were given for.
        in_gate: which rows are the gate's, and never trained on.
    """
    learned, held_out, gated = _first_rows(scanned, codes, rules, in_gate)
    if lost := gated - learned.keys() - held_out.keys():
        _give_up(lost, scanned, codes, rules)
    keys = scanned.keys if scanned.groups is None else scanned.groups
    rare = {label: row for label, row in held_out.items() if label not in learned}
    together = np.unique(keys[np.array(sorted(rare.values()), np.int64)])
    own = (scanned.codes == TRAIN) & (codes != TRAIN)
    moved = np.flatnonzero(own & np.isin(keys, together))
    codes[moved] = TRAIN
    if rare:
        warn(
            "labels that only held-out rows had: some of these rows are trained on instead",
            labels=_shown(rare),
            rows=len(moved),
        )
    needed = np.unique(np.array([*learned.values(), *rare.values()], np.int64))
    return Kept(needed, len(moved))


def _give_up(labels: set[str], scanned: Scanned, codes: Codes, rules: RowRules) -> None:
    """Take rows with labels that only the gate's rows have out of the test: they go back to the training
    rows, from which the gate's are dropped. A label that nobody can learn must not end every night."""
    start = 0
    for batch in stream(scanned.path):
        poll()
        part = slice(start, start + batch.num_rows)
        found = [bool(labels & set(of)) for of in rules.labels_of(_targets(batch, rules))]
        codes[part][np.array(found) & (scanned.codes[part] == TRAIN)] = TRAIN
        start = part.stop
    warn(
        "labels that only rows of the gate have are neither learned nor tested",
        labels=_shown(labels),
    )


def _shown(labels: Collection[str]) -> str:
    names = sorted(labels)
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def _targets(batch: pa.RecordBatch, rules: RowRules) -> dict[str, list[str | None]]:
    return {
        role: batch.column(role).to_pylist()
        for role in rules.columns
        if role not in rules.text_roles
    }


def _first_rows(
    scanned: Scanned, codes: Codes, rules: RowRules, in_gate: Mask
) -> tuple[dict[str, int], dict[str, int], set[str]]:
    """For each label the row with the highest key that is trained on, and that is held out of these; and
    the labels of the gate's rows among them."""
    gated: set[str] = set()
    learned: dict[str, tuple[int, int]] = {}
    held_out: dict[str, tuple[int, int]] = {}
    start = 0
    for batch in stream(scanned.path):
        poll()
        part = slice(start, start + batch.num_rows)
        places = (each[part].tolist() for each in (scanned.codes, codes, scanned.keys, in_gate))
        rows = zip(rules.labels_of(_targets(batch, rules)), *places, strict=True)
        for row, (labels, given, code, key, is_gated) in enumerate(rows, start):
            if given != TRAIN:
                continue
            if is_gated:
                gated.update(labels)
                continue
            best = learned if code == TRAIN else held_out
            for label in labels:
                if label not in best or key > best[label][0]:
                    best[label] = (key, row)
        start = part.stop
    return _rows(learned), _rows(held_out), gated


def _rows(best: dict[str, tuple[int, int]]) -> dict[str, int]:
    return {label: row for label, (_, row) in best.items()}
