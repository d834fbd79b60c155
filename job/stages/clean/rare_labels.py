"""A label that the job's own split would take from the training rows: one row of it stays in them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

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
    learned, held_out = _first_rows(scanned, codes, rules, in_gate)
    keys = scanned.keys if scanned.groups is None else scanned.groups
    rare = {label: row for label, row in held_out.items() if label not in learned}
    together = np.unique(keys[np.array(sorted(rare.values()), np.int64)])
    own = (scanned.codes == TRAIN) & (codes != TRAIN) & ~in_gate
    moved = np.flatnonzero(own & np.isin(keys, together))
    codes[moved] = TRAIN
    if rare:
        names = sorted(rare)
        warn(
            "labels that only held-out rows had: some of these rows are trained on instead",
            labels=", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else ""),
            rows=len(moved),
        )
    needed = np.unique(np.array([*learned.values(), *rare.values()], np.int64))
    return Kept(needed, len(moved))


def _first_rows(
    scanned: Scanned, codes: Codes, rules: RowRules, in_gate: Mask
) -> tuple[dict[str, int], dict[str, int]]:
    """For each label the row with the highest key that is trained on, and that is held out of these."""
    learned: dict[str, tuple[int, int]] = {}
    held_out: dict[str, tuple[int, int]] = {}
    others = [role for role in rules.columns if role not in rules.text_roles]
    start = 0
    for batch in stream(scanned.path):
        poll()
        values = {role: batch.column(role).to_pylist() for role in others}
        part = slice(start, start + batch.num_rows)
        places = (each[part].tolist() for each in (scanned.codes, codes, scanned.keys, in_gate))
        for row, (labels, given, code, key, gated) in enumerate(
            zip(rules.labels_of(values), *places, strict=True), start
        ):
            if given != TRAIN or gated:
                continue
            best = learned if code == TRAIN else held_out
            for label in labels:
                if label not in best or key > best[label][0]:
                    best[label] = (key, row)
        start = part.stop
    return _rows(learned), _rows(held_out)


def _rows(best: dict[str, tuple[int, int]]) -> dict[str, int]:
    return {label: row for label, (_, row) in best.items()}
