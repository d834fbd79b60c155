"""What was found, kept with the run, told and refused."""

from __future__ import annotations

import json
import logging

import pytest

from job.checks.distances import Distance
from job.checks.findings import ADVICE, Findings, bounds_of, finding
from job.data.artifacts import canonical_json
from job.errors import DataError
from job.settings import Checks
from job.store.records import parsed, record_of

CHECKS = Checks()
FAR, NEAR = Distance(0.5, 1e-6), Distance(0.5, 0.3)


def findings(**distances: Distance) -> Findings:
    found = [
        finding(CHECKS, name, each, 120, f"said of {name}") for name, each in distances.items()
    ]
    return Findings(bounds_of(CHECKS), "n1-a1", 120, found, {"known": "no file is left"})


def test_every_bound_has_advice() -> None:
    assert set(ADVICE) == set(bounds_of(CHECKS)) - {"max_rows"}


def test_a_distance_counts_above_its_bound_and_beyond_chance() -> None:
    found = findings(label_shift=FAR, length_shift=NEAR, score_drop=Distance(0.05, 0.0))
    assert [each.name for each in found.exceeding] == ["label_shift"]


def test_what_stands_in_the_store_is_read_back_and_says_what_follows() -> None:
    found = findings(label_shift=FAR, length_shift=NEAR)
    stored = json.loads(found.json())
    assert [each["exceeds"] for each in stored["findings"]] == [True, False]
    assert stored["findings"][0]["advice"] == ADVICE["label_shift"]
    again = record_of(Findings, parsed(found.json(), "checks.json"), "checks.json")
    assert canonical_json(stored) == again.json()


def test_stop_names_all_that_exceeds_with_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    found = findings(label_shift=FAR, duplicates=FAR, length_shift=NEAR)
    with pytest.raises(DataError, match="FINETUNE_CHECKS__ACTION=warn") as caught:
        found.refuse()
    said = str(caught.value)
    for name, bound in (("label_shift", 0.1), ("duplicates", 0.2)):
        assert f"said of {name} (bound FINETUNE_CHECKS__{name.upper()}={bound}, 120 rows)" in said
        assert ADVICE[name] in said
    assert "length_shift" not in said
    assert caught.value.exit_code == 65
    findings(length_shift=NEAR).refuse()
    with caplog.at_level(logging.INFO):
        found.tell()
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned[:2] == [
        "the night's rows: said of label_shift",
        "the night's rows: said of duplicates",
    ]
