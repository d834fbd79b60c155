"""A model's answers to rows, as one metric sees them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Scorer(Protocol):
    """A model's answers to rows, as one metric sees them: it scores any resample of them."""

    @property
    def rows(self) -> int:
        """Units that can be resampled: cleaned rows, or blocks where rows are packed."""
        ...

    @property
    def correct(self) -> npt.NDArray[np.bool_] | None:
        """Which rows are right, where the metric is the share of right rows; else None."""
        ...

    @property
    def scale(self) -> float:
        """1, or 100 for metrics in percent."""
        ...

    @property
    def strata(self) -> npt.NDArray[np.integer[Any]] | None:
        """Rows are resampled within these, such as the rows' true classes; None: among all."""
        ...

    def score(self, counts: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """The metric of each resample: how often each row is drawn (resamples, rows) -> (resamples,)."""
        ...

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Scorer:
        """Of some rows alone: a slice."""
        ...
