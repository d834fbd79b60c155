"""The bound on rows that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from job.data.artifacts import Split
from job.data.quarantine import read_bad
from job.errors import DataError
from job.tasks.row_rules import RowRules

EXAMPLES = 3


def check_bad(
    quarantine: Path,
    read: Mapping[Split, int],
    bad: Mapping[Split, int],
    bound: float,
    rules: RowRules,
) -> None:
    """Refuse a split of which more than the part `bound` cannot be used.

    Raises:
        DataError: with the counts and the first reasons; `kept` is the quarantine, with all of them.
    """
    for split, count in bad.items():
        if count and count > bound * read[split]:
            rows = rules.source_of(split).rows
            part = f"{count:,} of {read[split]:,} {rows} ({count / read[split]:.1%})"
            error = DataError(
                f"{part} cannot be used: " + "; ".join(_first(quarantine, split)),
                hint=f"fix them, or raise FINETUNE_DATA__MAX_BAD_FRACTION above {bound:g}",
            )
            error.kept = quarantine
            raise error


def _first(quarantine: Path, split: Split) -> list[str]:
    entries = (entry for entry in read_bad(quarantine) if entry["split"] == split)
    return [f"{e['file']}:{e['line']}: {e['reason']}" for e in islice(entries, EXAMPLES)]
