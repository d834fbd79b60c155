"""What a version was made from: which of it counts, and what earlier releases left unsaid."""

from __future__ import annotations

from typing import Any

import pytest

from job.data.artifacts import Frozen
from job.errors import InputMissing, Torn
from job.runs.provenance import Provenance
from job.runtime.numerics import PACKAGES, described, numerics
from job.store.manifest import Manifest

FACTS = {"world": 2, "threads": 1, "device": "cpu", "processor": "Pentium", "instructions": "SSE"}


def provenance(best_step: int | None, *after: int) -> Provenance:
    made_with = [{"after_step": step, **FACTS, "tokens": step} for step in after]
    return Provenance(Frozen((), {}), "ab12", "f1", 30, best_step, True, made_with)


@pytest.mark.parametrize(
    ("best_step", "after", "counted"),
    [(None, (0, 10), (0, 10)), (10, (0, 10), (0,)), (11, (0, 10), (0, 10)), (10, (20,), (20,))],
)
def test_only_what_came_before_the_weights_counts(
    best_step: int | None, after: tuple[int, ...], counted: tuple[int, ...]
) -> None:
    entries = provenance(best_step, *after).computed_with
    assert tuple(entry["after_step"] for entry in entries) == counted


def test_it_is_put_in_words() -> None:
    assert provenance(None, 0).computed.endswith("; 2 processes of 1 thread on Pentium (SSE)")
    assert provenance(None, 0, 10).computed.endswith("(SSE), since step 11")
    assert "did not record" in provenance(None).computed
    torch = pytest.importorskip("torch")
    facts = {**numerics(torch.device("cpu")), "world": 1}
    assert facts["threads"] == torch.get_num_threads()
    assert all(f"{name} {facts[name]}" in described(facts) for name in PACKAGES)


@pytest.mark.parametrize(
    ("meta", "error"),
    [({}, InputMissing), ({"made_with": []}, InputMissing), ({"made_with": [{}]}, Torn)],
)
def test_a_manifest_that_does_not_say_it(meta: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Provenance.in_manifest(Manifest({}, meta, ""), "s3://bucket/m/models/r-a1")
