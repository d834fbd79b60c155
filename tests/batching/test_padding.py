"""Rows made rectangular."""

from __future__ import annotations

import numpy as np

from job.batching.padding import Padding


def test_padding_is_to_the_longest_row_a_multiple_or_a_fixed_length() -> None:
    rows = [np.array([1, 2, 3]), np.array([4])]
    assert Padding(0).fill(rows, 0).tolist() == [[1, 2, 3], [4, 0, 0]]
    assert Padding(0, multiple=4).fill(rows, 9).tolist() == [[1, 2, 3, 9], [4, 9, 9, 9]]
    assert Padding(0, fixed=5).fill(rows, 0).shape == (2, 5)
    assert Padding(0, side="left").fill(rows, 0).tolist() == [[1, 2, 3], [0, 0, 4]]
