"""Rows that cannot be used: kept with their place and reason, and counted against the bound."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from job.data.artifacts import Split
from job.errors import DataError

SHOWN_CHARS = 1_000
EXAMPLES = 3


def write_bad(file: TextIO, split: Split, name: str, line: int, reason: str, row: str) -> None:
    """Append a row to a quarantine file, its text cut to SHOWN_CHARS."""
    entry = {"split": split, "file": name, "line": line, "reason": reason, "row": row[:SHOWN_CHARS]}
    file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def check_bad(
    quarantine: Path, read: Mapping[Split, int], bad: Mapping[Split, int], bound: float
) -> None:
    """Refuse a split of which more than the part `bound` cannot be used.

    Raises:
        DataError: with the counts and the first reasons; `kept` is the quarantine, with all of them.
    """
    for split, count in bad.items():
        if count and count > bound * read[split]:
            part = f"{count:,} of {read[split]:,} {split} rows ({count / read[split]:.1%})"
            error = DataError(
                f"{part} cannot be used: " + "; ".join(_first(quarantine, split)),
                hint=f"mend them, or raise FINETUNE_DATA__MAX_BAD_FRACTION above {bound:g}",
            )
            error.kept = quarantine
            raise error


def _first(quarantine: Path, split: Split) -> list[str]:
    found: list[str] = []
    with quarantine.open(encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if entry["split"] == split:
                found.append(f"{entry['file']}:{entry['line']}: {entry['reason']}")
            if len(found) == EXAMPLES:
                break
    return found
