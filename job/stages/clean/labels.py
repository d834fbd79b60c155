"""Labels as all rows together show them: of one kind, and each class written in one way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from job.data.artifacts import Split
from job.errors import DataError
from job.stages.clean.profile import Written
from job.tasks.labels import LIST, ONE, TWO, alike
from job.telemetry import warn

MISSING = frozenset(("nan", "none", "null", "na", "n/a", "<na>", "nat", "-", "?"))
"""What pandas, Python, databases and people write where there is nothing."""
SHOWN = 5
"""Of the labels that are alike."""


def question(written: Mapping[Split, Written]) -> None:
    """Refuse labels that can't be what they seem, and warn of those that may not be.

    Raises:
        DataError: they are lists in some rows and not in others, or vectors.
    """
    _check_kinds(written)
    _warn_of_doubtful(written)


def _check_kinds(written: Mapping[Split, Written]) -> None:
    """Refuse labels that are lists in some rows and not in others, and lists that are vectors.

    Raises:
        DataError: with the counts.
    """
    kinds = {split: counts.kinds for split, counts in written.items() if counts.kinds}
    every: Counter[str] = sum(kinds.values(), Counter())
    single, lists = every[ONE], every[LIST] + every[TWO]
    if single and lists:
        counts = ", ".join(
            f"{rows[LIST] + rows[TWO]:,} of {rows.total():,} {split} rows"
            for split, rows in kinds.items()
        )
        raise DataError(
            f"the labels of {counts} are lists, and those of the others are not",
            hint='write every label as a list (["a"]), or none, or set '
            "FINETUNE_MODEL__PROBLEM_TYPE=single_label_classification to take lists as they stand",
        )
    if every[TWO] and not every[LIST]:
        raise DataError(
            "every label is a list of 0 and 1: a vector over two classes, or the classes 0 and 1",
            hint='list the classes that hold by name, such as ["joy", "anger"]',
        )


def _warn_of_doubtful(written: Mapping[Split, Written]) -> None:
    """Say which classes may be one class that is written in several ways, and which may be none."""
    counts: Counter[str] = sum((counts.labels for counts in written.values()), Counter())
    if missing := sorted(label for label in counts if label.casefold() in MISSING):
        warn(
            "labels that often stand for a missing value are classes of their own",
            labels=", ".join(f"{label!r} ({counts[label]:,})" for label in missing),
        )
    groups = alike(counts)
    if groups:
        shown = (
            ", ".join(f"{label!r} ({counts[label]:,})" for label in labels)
            for labels in groups[:SHOWN]
        )
        warn(
            "labels that differ only in case, white space or how a number is written are classes of "
            "their own",
            labels="; ".join(shown) + (" …" if len(groups) > SHOWN else ""),
        )
