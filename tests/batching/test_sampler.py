"""Which rows make up a step: compared with what the design says in words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from job.batching.sampler import epoch_steps, evaluation_batches, shares, steps_per_epoch

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=120).map(
    lambda values: np.array(values, dtype=np.int64)
)


@given(lengths, st.integers(0, 5), st.integers(1, 9), st.integers(1, 6))
def test_every_row_stands_in_exactly_one_step(
    rows: np.ndarray, epoch: int, size: int, window: int
) -> None:
    steps = epoch_steps(rows, seed=1, epoch=epoch, batch_size=size, window=window)
    assert sorted(np.concatenate(steps).tolist()) == list(range(len(rows)))
    assert len(steps) == steps_per_epoch(len(rows), size)
    assert all(len(step) == size for step in steps[:-1])


@given(lengths, st.integers(1, 9), st.integers(2, 6))
def test_a_window_is_sorted_by_length(rows: np.ndarray, size: int, window: int) -> None:
    """The same windows cut slowly: shuffle, take a window, sort it, and look for its steps."""
    steps = {
        tuple(step.tolist())
        for step in epoch_steps(rows, seed=3, epoch=0, batch_size=size, window=window)
    }
    order = np.random.default_rng([3, 0]).permutation(len(rows)).tolist()
    for start in range(0, len(order), size * window):
        part = order[start : start + size * window]
        part = sorted(part, key=lambda row: (rows[row], part.index(row)))
        short = len(part) % size
        expected = [part[i : i + size] for i in range(short, len(part), size)]
        if short:
            expected.append(part[:short])
        assert all(tuple(step) in steps for step in expected)


def test_a_window_of_one_is_plain_random_batching() -> None:
    rows = np.arange(1, 24, dtype=np.int64)
    steps = epoch_steps(rows, seed=5, epoch=2, batch_size=4, window=1)
    assert np.concatenate(steps).tolist() == np.random.default_rng([5, 2]).permutation(23).tolist()


def test_steps_depend_on_seed_and_epoch_alone() -> None:
    rows = np.arange(1, 101, dtype=np.int64)

    def made(seed: int, epoch: int) -> list[list[int]]:
        return [
            s.tolist() for s in epoch_steps(rows, seed=seed, epoch=epoch, batch_size=8, window=3)
        ]

    assert made(1, 0) == made(1, 0)
    assert made(1, 0) != made(1, 1)
    assert made(1, 0) != made(2, 0)


@given(lengths, st.integers(1, 5), st.integers(8, 200), st.sampled_from([1, 8]))
def test_shares_hold_every_row_once_and_keep_the_limit(
    rows: np.ndarray, world: int, tokens: int, multiple: int
) -> None:
    numbers = np.arange(100, 100 + len(rows), dtype=np.int64)
    dealt = shares(numbers, rows, world=world, tokens=tokens, multiple=multiple)
    assert len(dealt) == world
    assert len({len(share.micro_batches) for share in dealt}) == 1
    assert len(dealt[0].micro_batches) >= 1
    everything = np.concatenate([m for share in dealt for m in share.micro_batches])
    assert sorted(everything.tolist()) == numbers.tolist()
    for share in dealt:
        for micro in share.micro_batches:
            longest = max((int(rows[n - 100]) for n in micro), default=0)
            padded = -(-longest // multiple) * multiple
            assert len(micro) <= 1 or padded * len(micro) <= max(
                tokens, -(-int(rows.max()) // multiple) * multiple
            )


@given(lengths, st.integers(1, 4), st.integers(8, 200))
def test_no_fewer_micro_batches_would_do(rows: np.ndarray, world: int, tokens: int) -> None:
    """The greedy cut of rows in falling length is the slow, obvious lower bound."""
    numbers = np.arange(len(rows), dtype=np.int64)
    dealt = shares(numbers, rows, world=world, tokens=tokens)
    limit = max(tokens, int(rows.max()))
    groups, falling = 0, sorted(rows.tolist(), reverse=True)
    while falling:
        groups, falling = groups + 1, falling[limit // falling[0] :]
    assert len(dealt[0].micro_batches) == -(-groups // world)


@given(lengths, st.integers(8, 200))
def test_evaluation_covers_every_row_longest_first(rows: np.ndarray, tokens: int) -> None:
    batches = evaluation_batches(rows, tokens=tokens)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(rows)))
    assert rows[batches[0]].max() == rows.max()
