"""The metrics of all attempts, merged, whatever has become of some of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from job.stages.train.history import History, merged_history
from job.store import open_store

RUN = "m/runs/r"


def test_what_was_lost_with_an_attempt_is_cut_and_parts_are_in_the_attempts_order(
    tmp_path: Path,
) -> None:
    store = open_store(str(tmp_path))
    for attempt, resumed_at, steps in ((9999, 0, (1, 2, 3)), (10_000, 2, (3, 4))):
        history = History(store, RUN, attempt, resumed_at)
        for step in steps:
            history.add({"step": step, "by": attempt})
        history.commit()
    merged = [(line["step"], line["by"]) for line in merged_history(store, RUN)]
    assert merged == [(1, 9999), (2, 9999), (3, 10_000), (4, 10_000)]


@pytest.mark.parametrize(
    ("second", "steps"),
    [
        (b"", [1, 2, 3]),
        (b"<html>", [1, 2, 3]),
        (b'{"resumed_at": 2}\n{"step": 3}\n{"st', [1, 2, 3]),
        (b'{"resumed\n{"step": 2}\n{"step": 3}\n', [1, 2, 3]),
        (b'{"resumed_at": "2"}\n{"step": null}\n[1]\n{"step": 4}\n', [1, 2, 3, 4]),
        (b"[" * 100_000, [1, 2, 3]),
        (b'{"resumed_at": 1}\n{"step": 2}\n\xff\xfe\n', [1, 2]),
    ],
)
def test_a_damaged_part_costs_its_own_lines_alone(
    tmp_path: Path, second: bytes, steps: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(str(tmp_path))
    lines = [{"resumed_at": 0}, {"step": 1}, {"step": 2}, {"step": 3}]
    store.put(f"{RUN}/metrics-0001.jsonl", "\n".join(map(json.dumps, lines)).encode())
    store.put(f"{RUN}/metrics-0002.jsonl", second)
    assert [line["step"] for line in merged_history(store, RUN)] == steps
    assert "metrics are damaged" in caplog.text
