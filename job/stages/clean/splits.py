"""Which split a row goes to, and whether it stays: decisions over all rows at once, in numpy.

A row is known here by its key, a 64-bit hash of its text roles: 13 bytes a row in all. That two
different texts among ten million share a key has a probability below one in 100,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from job.data.artifacts import SPLITS, Split
from job.data.keys import Keys, among
from job.settings import Clean, Data
from job.stages.clean.text import canonical

Codes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NOTHING: Rows = np.zeros(0, np.int64)
NO_KEYS: Keys = np.zeros(0, np.uint64)

TRAIN, VALIDATION, TEST = 0, 1, 2
DROPPED = 255
IN_GATE = "in the gate"
"""Why a row is dropped that must be neither trained on nor validated with."""
CODE: dict[Split, int] = {split: code for code, split in enumerate(SPLITS)}

LEARNED = "learned from before"
"""Why a row is not trained on that the model knows already."""

_SALT = b"finetune.split.1"
"""Never changed: another salt would move rows between the splits of every data set."""


def key_of(*texts: str | None) -> int:
    """The 64-bit key of a row's text roles: equal for texts that are equal up to case, white space
    and Unicode's compatibility forms."""
    text = "\x1f".join(map(canonical, texts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8, salt=_SALT).digest(), "big")


def keys_of(roles: Sequence[Sequence[str | None]]) -> Keys:
    """The keys of rows that come as one list a role."""
    rows = zip(*roles, strict=True)
    return np.fromiter((key_of(*row) for row in rows), np.uint64, count=len(roles[0]))


def fractions(data: Data) -> tuple[float, float]:
    """The parts of the training rows that are held out for validation and for test: those not given."""
    return (
        0.0 if data.validation else data.validation_fraction,
        0.0 if data.test else data.test_fraction,
    )


def held_out(keys: Keys, validation: float, test: float) -> Codes:
    """The split of each training row: test at the low end of the hash's range, validation at the
    high end, so that changing one fraction moves no row of the other. Fractions in [0, 1)."""
    place = keys >> np.uint64(11)  # 53 bits, which a float holds exactly
    codes = np.zeros(len(keys), np.uint8)
    codes[place >= np.uint64((1 - validation) * 2**53)] = VALIDATION
    codes[place < np.uint64(test * 2**53)] = TEST
    return codes


@dataclass(frozen=True)
class HeldBack:
    """What is neither trained on nor validated with, whatever split it is given for: the gate's rows."""

    keys: Keys = field(default_factory=lambda: NO_KEYS)
    """Of their texts, sorted."""
    groups: Keys = field(default_factory=lambda: NO_KEYS)
    """Of their values of `split_by`, sorted; rows of their groups are held back too."""

    @classmethod
    def of(cls, keys: Sequence[Keys], groups: Sequence[Keys]) -> HeldBack:
        """From keys in any order, some of them often."""
        return cls(_sorted(keys), _sorted(groups))

    def holds(self, keys: Keys, groups: Keys | None) -> Mask:
        """Of each row, whether its key or its group's is among these."""
        held = among(keys, self.keys)
        return held if groups is None else held | among(groups, self.groups)


@dataclass(frozen=True)
class Replay:
    """Which of the texts that a model has learned from already it is trained on again."""

    learned: Keys = field(default_factory=lambda: NO_KEYS)
    """The keys of these texts, sorted."""
    share: float = 1.0
    """The part of them that is replayed, in [0, 1]."""
    salt: int = 0
    """Another part for another salt, and the same one for the same."""

    def leaves_out(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which rows are not trained on again."""
        draw = drawn(keys, self.salt) >> np.uint64(11)
        return among(keys, self.learned) & (draw >= np.uint64(self.share * 2**53))


def _sorted(keys: Sequence[Keys]) -> Keys:
    return np.unique(np.concatenate([NO_KEYS, *keys]))


def drawn(keys: Keys, salt: int) -> Keys:
    """A uniform number a row, from its key and the salt alone (splitmix64's finalizer)."""
    with np.errstate(over="ignore"):
        x = keys ^ np.uint64((salt * 0x9E3779B97F4A7C15 + 1) % 2**64)
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x


def copies(keys: Keys, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How often each row appears in the training split: the weight's integer part, and once more for
    the part of the rows that its fraction says, chosen by hash."""
    whole = np.floor(weights)
    chance = (drawn(keys, 0x77656967) >> np.uint64(11)) / 2**53
    return (whole + (chance < weights - whole)).astype(np.int64)


@dataclass
class Decision:
    """Each row's split or DROPPED, and what was counted on the way."""

    codes: Codes
    needed: Rows
    """Rows that no draw may drop, if they are trained on at all."""
    dropped: dict[Split, Counter[str]] = field(
        default_factory=lambda: {s: Counter() for s in SPLITS}
    )
    duplicates: Counter[str] = field(default_factory=Counter)
    """Rows whose text appeared earlier in the same split."""
    conflicting: Counter[str] = field(default_factory=Counter)
    """Texts of a split that have more than one label in it."""
    cross: Counter[str] = field(default_factory=Counter)
    """Rows whose text is in another split too."""


def decide(
    codes: Codes,
    keys: Keys,
    labels: Labels,
    clean: Clean,
    seed: int,
    needed: Rows = NOTHING,
    in_gate: Mask | None = None,
) -> Decision:
    """Take the gate's rows out of training and validation, deduplicate, take held-out texts out of
    training, and sample.

    `codes` holds each row's split (rows,) and is changed in place; `labels` tells labels apart; no draw
    drops the rows that are `needed`.
    """
    decision = Decision(codes, needed)
    if in_gate is not None:
        _hold_back(decision, in_gate)
    for rows in buckets(keys):
        for split in SPLITS:
            chosen = rows[codes[rows] == CODE[split]]
            _duplicates(decision, split, chosen, keys, labels, drop=clean.deduplicate)
        _separate(decision, rows, keys)
    if clean.sample is not None:
        rows = np.flatnonzero(codes == TRAIN)
        kept = _sampled(keys[rows], clean.sample, seed) | np.isin(rows, needed)
        _drop(decision, "train", "not sampled", rows[~kept])
    return decision


def leave_out(decision: Decision, keys: Keys, replay: Replay) -> None:
    """Take rows out of the training rows that the model has learned from and that are not replayed."""
    rows = np.flatnonzero(decision.codes == TRAIN)
    _drop(decision, "train", LEARNED, rows[replay.leaves_out(keys[rows])])


def buckets(keys: Keys) -> Iterator[Rows]:
    """The rows in 16 parts, equal keys in the same one: sorting a part takes little memory."""
    for bucket in range(16):
        yield np.flatnonzero(keys >> np.uint64(60) == bucket)


def repeated(rows: Rows, keys: Keys) -> tuple[Rows, Rows]:
    """Rows whose key appeared earlier among `rows`, and for each the last one before it with that key."""
    order = rows[np.argsort(keys[rows], kind="stable")]
    again = keys[order[1:]] == keys[order[:-1]]
    return order[1:][again], order[:-1][again]


def _drop(decision: Decision, split: Split, reason: str, rows: Rows) -> None:
    decision.codes[rows] = DROPPED
    if len(rows):
        decision.dropped[split][reason] += len(rows)


def _hold_back(decision: Decision, in_gate: Mask) -> None:
    kept_from: tuple[Split, ...] = ("train", "validation")
    for split in kept_from:
        rows = np.flatnonzero(in_gate & (decision.codes == CODE[split]))
        if len(rows):
            decision.cross[f"{split}_in_gate"] = len(rows)
            _drop(decision, split, IN_GATE, rows)


def _duplicates(
    decision: Decision, split: Split, rows: Rows, keys: Keys, labels: Labels, *, drop: bool
) -> None:
    later, before = repeated(rows, keys)
    differ = labels[later] != labels[before]
    decision.duplicates[split] += len(later)
    decision.conflicting[split] += len(np.unique(keys[later[differ]]))
    if drop:
        _drop(decision, split, "duplicate", later)


def _separate(decision: Decision, rows: Rows, keys: Keys) -> None:
    """Remove training rows whose text is held out: what is scored must not be learnt."""
    codes = decision.codes
    train = rows[codes[rows] == TRAIN]
    validation = rows[codes[rows] == VALIDATION]
    test = rows[codes[rows] == TEST]
    in_validation = np.isin(keys[train], keys[validation])
    in_test = np.isin(keys[train], keys[test])
    decision.cross["train_in_validation"] += int(in_validation.sum())
    decision.cross["train_in_test"] += int(in_test.sum())
    decision.cross["validation_in_test"] += int(np.isin(keys[validation], keys[test]).sum())
    _drop(decision, "train", "in test", train[in_test])
    _drop(decision, "train", "in validation", train[in_validation & ~in_test])


def _sampled(keys: Keys, sample: float, seed: int) -> npt.NDArray[np.bool_]:
    """Below 1 a part of the rows, else so many of them; by seed and text, in any order."""
    draw = drawn(keys, seed)
    if sample < 1:
        return np.asarray((draw >> np.uint64(11)) < np.uint64(sample * 2**53))
    chosen = np.zeros(len(keys), np.bool_)
    chosen[np.argsort(draw, kind="stable")[: int(sample)]] = True
    return chosen
