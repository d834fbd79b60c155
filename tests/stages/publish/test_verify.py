"""What a fresh process finds, beside what was scored."""

from __future__ import annotations

import math
from typing import Any

import pytest

from job.stages.publish.verify import distance


@pytest.mark.parametrize(
    ("want", "got", "expected"),
    [
        ([[0.5, 0.5]], [[0.5, 0.25]], 0.25),
        ([{"word": "a", "score": 1}], [{"word": "a", "score": 0.75}], 0.25),
        ([{"word": "a"}], [{"word": "b"}], math.inf),
        ([{"word": "a"}], [{"text": "a"}], math.inf),
        (["text", 1.0], ["text", 1.0], 0),
        (["text"], ["other"], math.inf),
        ([1.0, 2.0], [1.0], math.inf),
        ([], [], 0),
    ],
)
def test_numbers_may_differ_a_little_and_nothing_else(want: Any, got: Any, expected: float) -> None:
    assert distance(want, got) == expected
