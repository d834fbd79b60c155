"""Which rows make up each step, and which of them each rank takes: pure functions, no torch.

A step's rows depend on the seed, the epoch and the step alone, so that the number of processes is
not a hyperparameter and a position in the data is just (epoch, step).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from job.batching import Lengths, Rows


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Optimizer steps in an epoch; the short last one counts."""
    return math.ceil(rows / batch_size)


def epoch_steps(
    lengths: Lengths, *, seed: int, epoch: int, batch_size: int, window: int
) -> list[Rows]:
    """The rows of every step of an epoch.

    Rows are shuffled; every `window * batch_size` of them are sorted by length (ties keep the
    shuffle's order) and cut into steps; the full steps are shuffled, a short one stays last. So a
    step's rows are about equally long, while which rows meet stays random. `window=1` is plain
    random batching, exactly.

    Args:
        lengths: tokens of each row, shape (rows,).
        seed: of the run.
        epoch: from 0.
        batch_size: rows in a step, over the whole world.
        window: steps whose rows are sorted together.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths)).astype(np.int64)
    if window == 1:
        return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    width = window * batch_size
    steps: list[Rows] = []
    for start in range(0, len(order), width):
        part = order[start : start + width]
        part = part[np.argsort(lengths[part], kind="stable")]
        # cut from the long end, so that a short step holds the window's shortest rows
        short = len(part) % batch_size
        steps += [part[i : i + batch_size] for i in range(short, len(part), batch_size)]
        if short:
            steps.append(part[:short])
    full, last = (steps[:-1], steps[-1:]) if len(order) % batch_size else (steps, [])
    return [full[i] for i in random.permutation(len(full))] + last


@dataclass(frozen=True)
class Share:
    """One rank's part of a step: the rows of each micro-batch; an empty one is a dummy of weight 0."""

    micro_batches: tuple[Rows, ...]


def shares(
    rows: Rows, lengths: Lengths, *, world: int, tokens: int, multiple: int = 1
) -> list[Share]:
    """A step's rows dealt out to the ranks.

    Every rank gets the same number of micro-batches, the smallest that keeps each within `tokens`
    padded tokens; among those, the largest micro-batch is as small as it can be, so that no rank
    waits long for another. A row longer than `tokens` is a micro-batch of its own.

    Args:
        rows: row numbers of the step, shape (n,).
        lengths: their padded-to-nothing lengths in tokens, shape (n,).
        world: ranks.
        tokens: padded tokens that a micro-batch may hold.
        multiple: padded lengths are rounded up to it.
    """
    order = np.argsort(-lengths, kind="stable")
    padded = -(-lengths[order] // multiple) * multiple
    limit = max(tokens, int(padded[0])) if len(padded) else tokens
    rounds = max(1, math.ceil(len(_cut(padded, limit)) / world))
    groups = _cut(padded, _smallest_limit(padded, rounds * world))
    # dealt out boustrophedon: the rank that got the most of one round gets the least of the next
    groups.sort(key=lambda g: -int(padded[g.start]) * (g.stop - g.start))
    dealt: list[list[Rows]] = [[] for _ in range(world)]
    for i, group in enumerate(groups):
        turn, place = divmod(i, world)
        rank = place if turn % 2 == 0 else world - 1 - place
        dealt[rank].append(np.sort(rows[order[group]]))
    nothing = np.empty(0, dtype=np.int64)
    return [Share(tuple(part + [nothing] * (rounds - len(part)))) for part in dealt]


def _cut(padded: Lengths, limit: int) -> list[slice]:
    """Rows in order of falling length, cut greedily where a group would exceed `limit` tokens."""
    groups: list[slice] = []
    start = 0
    while start < len(padded):
        fits = max(1, limit // int(padded[start]))
        groups.append(slice(start, min(start + fits, len(padded))))
        start += fits
    return groups


def _smallest_limit(padded: Lengths, groups: int) -> int:
    """The smallest token limit under which the rows fit in so many groups, by bisection."""
    if not len(padded):
        return 1
    low, high = int(padded[0]), int(padded[0]) * len(padded)
    while low < high:
        middle = (low + high) // 2
        if len(_cut(padded, middle)) <= groups:
            high = middle
        else:
            low = middle + 1
    return low


def evaluation_batches(lengths: Lengths, *, tokens: int, multiple: int = 1) -> list[Rows]:
    """All rows in batches of at most `tokens` padded tokens, longest first, so that an
    out-of-memory error comes at once."""
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    padded = -(-lengths[order] // multiple) * multiple
    limit = max(tokens, int(padded[0])) if len(padded) else tokens
    return [order[group] for group in _cut(padded, limit)]
