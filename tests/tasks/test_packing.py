"""Blocks across rows, beside joining everything in one list and slicing it."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from job.tasks.packing import Packer

rows = st.lists(st.lists(st.integers(10, 99), max_size=12), max_size=20)


@given(rows, st.integers(1, 5), st.integers(4, 9))
def test_blocks_are_slices_of_all_rows_joined(
    texts: list[list[int]], batch: int, block: int
) -> None:
    packer = Packer(block, before=[1], after=[2], between=[3])
    found: list[list[int]] = []
    for start in range(0, len(texts), batch):
        part = pa.array(texts[start : start + batch], pa.list_(pa.int32()))
        if (made := packer.add(part)) is not None:
            found += made.column("input_ids").to_pylist()
            assert made.column("length").to_pylist() == [block] * made.num_rows
    if (last := packer.flush()) is not None:
        found += last.column("input_ids").to_pylist()
    joined = [token for text in texts for token in [*text, 3]]
    inside = block - 2
    expected = [[1, *joined[i : i + inside], 2] for i in range(0, len(joined), inside)]
    assert found == expected


def test_a_slice_of_a_larger_array_is_read_from_its_own_offsets() -> None:
    packer = Packer(2)
    made = packer.add(pa.array([[9], [1, 2], [3, 4]], pa.list_(pa.int32())).slice(1))
    assert made is not None
    assert made.column("input_ids").to_pylist() == [[1, 2], [3, 4]]
