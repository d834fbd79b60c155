"""Which rank writes which piece of a checkpoint."""

from __future__ import annotations

from job.checkpoint.staging import divided


def test_what_several_ranks_hold_is_written_once_and_evenly() -> None:
    whole = [("a", [0], 16), ("b", [0], 12), ("c", [0, 0], 16)]
    assert divided([whole, whole]) == [{("a", (0,))}, {("b", (0,)), ("c", (0, 0))}]
    assert divided([whole]) == [{(name, tuple(offsets)) for name, offsets, _ in whole}]


def test_a_shard_is_written_by_who_holds_it() -> None:
    shares = divided([[("w", [0], 8), ("n", [], 4)], [("w", [2], 8), ("n", [], 4)]])
    assert shares == [{("w", (0,))}, {("w", (2,)), ("n", ())}]
