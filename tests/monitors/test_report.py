"""A report survives the store, and what is not one is refused."""

from __future__ import annotations

import pytest

from job.errors import Torn
from job.monitors.report import Milestone, Report


def test_a_report_is_read_back_as_it_was() -> None:
    report = Report(2, {"step": 3, "loss": 0.5}, (Milestone(1, "Started", "run", 1.5),))
    assert Report.read(report.json()) == report
    of_another_release = report.json().replace(b'"at": 1.5', b'"at": 1.5, "place": "x"')
    assert Report.read(of_another_release) == report


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"attempt": "x"}', b'{"attempt": 1, "milestones": [1]}', b"[" * 100_000],
)
def test_what_is_not_a_report(data: bytes) -> None:
    with pytest.raises(Torn, match=r"progress\.json is not a record of this job"):
        Report.read(data)
