"""Right and wrong answers as a model's answers to the gate's rows: accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Answers:
    correct: npt.NDArray[np.bool_]
    scale: float = 1.0
    strata: None = None

    @property
    def rows(self) -> int:
        return len(self.correct)

    def score(self, counts: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        return np.asarray(self.scale * (counts @ self.correct) / counts.sum(axis=1))

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Answers:
        return Answers(self.correct[rows], self.scale)
