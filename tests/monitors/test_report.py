"""A report survives the store, and what is not one is refused."""

from __future__ import annotations

import pytest

from job.errors import Torn
from job.monitors.report import Milestone, Report


def test_a_report_is_read_back_as_it_was() -> None:
    report = Report(2, {"step": 3, "loss": 0.5}, (Milestone(1, "Started", "run"),))
    assert Report.read(report.json()) == report


def test_what_only_a_newer_release_says_is_left_out() -> None:
    data = b'{"attempt": 1, "mood": 7, "milestones": [{"number": 1, "reason": "a", "message": "b", "c": 2}]}'
    assert Report.read(data) == Report(1, {}, (Milestone(1, "a", "b"),))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"attempt": "x"}', b'{"attempt": 1, "milestones": [1]}', b"[" * 100_000],
)
def test_what_is_not_a_report(data: bytes) -> None:
    with pytest.raises(Torn, match=r"progress\.json is not a record of this job"):
        Report.read(data)
