"""Thirty nights for real: no bad one makes a champion, and no champion is worse than the best before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.nights import GERMAN, MESSAGES, faults, nights


@pytest.mark.slow
@pytest.mark.skipif(
    not (MESSAGES.exists() and GERMAN.exists()), reason=f"{MESSAGES} or {GERMAN} is not here"
)
def test_no_bad_night_makes_a_champion(bucket: str, tmp_path: Path) -> None:
    lived = list(nights(tmp_path, bucket, 30, seed=1))
    assert faults(lived) == [], "\n".join(map(str, lived))
