"""The quarantine: rows that cannot be used, as JSON lines that say where each stood and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from job.data.artifacts import Split

SHOWN_CHARS = 1_000
"""Of a row's text; the rest is left out."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: its line from 1, why, and its text."""

    line: int
    reason: str
    text: str


def write_bad(file: TextIO, split: Split, name: str, rows: Iterable[BadRow]) -> int:
    """Append rows of the data file `name` to a quarantine, and return how many characters that took."""
    written = 0
    for row in rows:
        entry = {"split": split, "file": name, "line": row.line, "reason": row.reason}
        entry["row"] = _shown(row.text)
        written += file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return written


def read_bad(path: Path) -> Iterator[Mapping[str, Any]]:
    """What a quarantine holds, an entry a row: `split`, `file`, `line`, `reason` and `row`."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _shown(text: str) -> str:
    """The beginning of a text; surrogates, which stand for bytes that are not text, as escapes."""
    return text[:SHOWN_CHARS].encode("utf-8", "backslashreplace").decode()
