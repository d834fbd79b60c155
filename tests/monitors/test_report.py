"""A report survives the store, and what is not one is refused."""

from __future__ import annotations

import pytest

from job.monitors.report import Milestone, Report


def test_a_report_is_read_back_as_it_was() -> None:
    report = Report(2, {"step": 3, "loss": 0.5}, (Milestone(1, "Started", "run"),))
    assert Report.read(report.json()) == report


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"attempt": 1, "figures": {}, "milestones": [1]}']
)
def test_what_is_not_a_report(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Report.read(data)
