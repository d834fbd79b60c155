"""The run's steps, known before the first one: the rows, the learning rate, the loss's denominator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from job.batching import Lengths, Rows
from job.batching.sampler import Share, epoch_steps, shares, steps_per_epoch
from job.settings import Train
from job.stages.train.optimizer import learning_rate
from job.tasks.types import Floats


@dataclass
class Plan:
    """What step `n` is, for any `n`: a pure function of the data, the settings and the seed."""

    lengths: Lengths
    """Tokens of each training row."""
    weigh: Callable[[Rows, int], Floats]
    """What each of these rows adds to its step's denominator, in an epoch."""
    settings: Train
    seed: int
    multiple: int = 1
    """Padded lengths are rounded up to it."""
    _epoch: tuple[int, list[Rows]] = field(default=(-1, []), repr=False)

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch."""
        return steps_per_epoch(len(self.lengths), self.settings.batch_size)

    @property
    def total(self) -> int:
        """Steps in the run."""
        return self.settings.max_steps or max(1, round(self.per_epoch * self.settings.epochs))

    def rows(self, step: int) -> Rows:
        """The row numbers of a step."""
        epoch, index = divmod(step, self.per_epoch)
        if self._epoch[0] != epoch:
            steps = epoch_steps(
                self.lengths,
                seed=self.seed,
                epoch=epoch,
                batch_size=self.settings.batch_size,
                window=self.settings.length_window,
            )
            self._epoch = (epoch, steps)
        return self._epoch[1][index]

    def shares(self, rows: Rows, world: int, tokens: int) -> list[Share]:
        """Each rank's share of a step's rows, in micro-batches of at most `tokens` padded tokens."""
        return shares(rows, self.lengths[rows], world=world, tokens=tokens, multiple=self.multiple)

    def epoch(self, step: int) -> int:
        """The epoch, from 0, that a step belongs to."""
        return step // self.per_epoch

    def denominator(self, rows: Rows, step: int) -> float:
        """What the step's summed loss is divided by, the same on every rank."""
        # a step may hold nothing to learn, such as rows of a class whose weight is 0
        return float(np.sum(self.weigh(rows, self.epoch(step)), dtype=np.float64)) or 1.0

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step."""
        return learning_rate(self.settings, step, self.total)

    def ends_epoch(self, done: int) -> bool:
        """Whether an epoch is over after `done` steps."""
        return done % self.per_epoch == 0
