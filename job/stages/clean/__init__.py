"""The second stage: rows of strings to the task's rows: cleaned, split, counted.

Two passes over the rows, so that memory hardly grows with them: the first cleans each row and keeps
a few bytes of it (a key of its text, a checksum of its label, its split); the decisions that need
all rows are made on these; the second pass writes the splits.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from job.data.artifacts import GATE, READ, SPLITS, CleanRows, RawRows, Split
from job.settings import Data
from job.settings.protocols import HasClean, HasData, HasEvaluate, HasSeed
from job.stages.clean.bad_rows import check_bad
from job.stages.clean.labels import question
from job.stages.clean.profile import profile
from job.stages.clean.rare_labels import Kept, keep_in_train
from job.stages.clean.scan import Scan, Scanned
from job.stages.clean.sort import sort_split
from job.stages.clean.splits import (
    CODE,
    Codes,
    Decision,
    HeldBack,
    Replay,
    decide,
    fractions,
    held_out,
    leave_out,
)
from job.stages.clean.write import GIVEN, check_not_empty, check_unique, write_splits
from job.tasks.row_rules import RowRules

__all__ = ["EVERYTHING", "NOTHING", "HeldBack", "Replay", "clean"]

NOTHING, EVERYTHING = HeldBack(), Replay()


class CleanSettings(HasClean, HasData, HasEvaluate, HasSeed, Protocol):
    """The sections that cleaning reads."""


def clean(
    settings: CleanSettings,
    rules: RowRules,
    raw: RawRows,
    scratch: Path,
    *,
    held_back: HeldBack = NOTHING,
    replay: Replay = EVERYTHING,
    partial: bool = False,
) -> CleanRows:
    """Turn fetched rows into the task's rows, split for training.

    Validation and test rows are held out of the training rows by a hash of their text (or of the
    column `split_by`) unless they are given.

    Args:
        held_back: the gate's rows: in neither train nor validation, whatever the settings say.
        replay: which of the texts that a model has learned from it is trained on again.
        partial: whether the rows are only the first of each file, and may hold out none by chance.

    Raises:
        DataError: a column is missing, too many rows are bad (`kept` is their file), a value that
            must be unique is not, or a split is left without rows.
        SettingsError: a template of `derive` has an error in its syntax.
    """
    data, quarantine = settings.data, scratch / "quarantine.jsonl"
    scanned = _scanned(settings, rules, raw, quarantine)
    check_unique(scanned, raw.files, rules)
    decision, kept = _decided(settings, rules, scanned, held_back, replay)
    trained_on = bool(data.train)
    written = write_splits(scanned, decision, raw.weights, rules, scratch, trained_on=trained_on)
    scanned.path.unlink()
    question(written)
    counted = profile(raw, scanned.bad, scanned.dropped, decision, written)
    counted["kept_for_their_label"] = kept.moved
    check_not_empty(_wanted(data, partial=partial), counted, rules)
    tables = {split: scratch / f"{split}.arrow" for split in SPLITS if split in written}
    _sort(tables.values(), settings.clean.sort_by)
    gate, read = (scratch / name if trained_on else None for name in (GATE, READ))
    return CleanRows(
        tables, raw.files, {s: written[s].rows for s in tables}, quarantine, counted, gate, read
    )


def _sort(tables: Iterable[Path], by: str | None) -> None:
    for path in tables if by else ():
        sort_split(path, reverse=str(by).startswith("-"))


def _scanned(settings: CleanSettings, rules: RowRules, raw: RawRows, quarantine: Path) -> Scanned:
    """Each row cleaned, those that cannot be used in quarantine.

    Raises:
        DataError, SettingsError: see `clean`.
    """
    scratch = quarantine.parent
    scratch.mkdir(parents=True, exist_ok=True)
    if raw.quarantine != quarantine:
        shutil.copyfile(raw.quarantine, quarantine)
    with quarantine.open("a", encoding="utf-8") as file:
        scanned = Scan(settings, rules, raw, scratch).run(file)
    check_bad(quarantine, raw.read, scanned.bad, settings.data.max_bad_fraction, rules)
    return scanned


def _decided(
    settings: CleanSettings,
    rules: RowRules,
    scanned: Scanned,
    held_back: HeldBack,
    replay: Replay,
) -> tuple[Decision, Kept]:
    """Which split each row goes to, and whether it stays; and what was kept for the sake of its label."""
    codes, kept = _split(scanned, settings.data), Kept()
    in_gate = held_back.holds(scanned.keys, scanned.groups)
    if _labels_may_be_lost(settings, rules, gated=bool(in_gate.any())):
        kept = keep_in_train(scanned, codes, rules, in_gate)
    keys, labels = scanned.keys, scanned.labels
    decision = decide(codes, keys, labels, settings.clean, settings.seed, kept.needed, in_gate)
    leave_out(decision, keys, replay)
    return decision, kept


def _wanted(data: Data, *, partial: bool) -> dict[Split, str]:
    """The splits that must have rows, and where these come from."""
    if not data.train:  # rows that a model is scored on, or predicts for
        return {split: GIVEN for split in SPLITS if getattr(data, split)}
    wanted: dict[Split, str] = {"train": GIVEN}
    if data.validation or (data.validation_fraction and not partial):
        wanted["validation"] = GIVEN if data.validation else "held out of the training rows"
    if data.test or (data.test_fraction and not partial):
        wanted["test"] = GIVEN if data.test else "held out of the training rows"
    return wanted


def _split(scanned: Scanned, data: Data) -> Codes:
    """Each row's split: the given one, or one that training rows are held out for."""
    codes = scanned.codes.copy()
    train = codes == CODE["train"]
    keys = scanned.keys if scanned.groups is None else scanned.groups
    codes[train] = held_out(keys[train], *fractions(data))
    return codes


def _labels_may_be_lost(settings: CleanSettings, rules: RowRules, *, gated: bool) -> bool:
    """Whether the gate, or chance, that is the rows' hash, may take all rows of a label from training."""
    data = settings.data
    thinned = settings.clean.sample or any(source.weight % 1 for source in data.train)
    labelled = set(rules.columns) - set(rules.text_roles)
    return bool(data.train and labelled and (any(fractions(data)) or thinned or gated))
