"""The versions that a run has published."""

from __future__ import annotations

from pathlib import Path

from job.registry import versions
from job.registry.versions import Version
from job.store import open_store


def test_a_runs_versions_the_last_attempts_first(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for key in (
        "m/models/r-a2/manifest.json",
        "m/models/r-a2/README.md",
        "m/models/r-a10/manifest.json",
        "m/models/r-a11/config.json",  # never sealed
        "m/models/r-a3-b/manifest.json",  # another run's
        "m/models/r-and-b-a1/manifest.json",
        "n/models/r-a4/manifest.json",
    ):
        store.put(key, b"")
    assert versions.of_run(store, "m", "r") == [Version.of("m", "r", 10), Version.of("m", "r", 2)]
    assert versions.of_run(store, "m", "q") == []
