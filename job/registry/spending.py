"""What the nights' tests may spend of the chance that a worse version is ever promoted.

The k-th test gets life_alpha / (k (k + 1)), which is one part in k + 1 of what the tests before it have
left. The shares sum to life_alpha, so that by the union bound the chance of any wrong promotion over
the whole life is at most that, whatever depends on what: the rows are the same every night.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

RULE = "test k may spend one part in k + 1 of what is left"


@dataclass(frozen=True)
class Spending:
    """What was spent so far, as champion.json holds it."""

    rule: str = RULE
    """For those who read the record."""
    life_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """What all tests may spend together. Where it is changed, what was spent stays spent, and the next
    tests share what the new total leaves."""
    looks: Annotated[int, Field(ge=0)] = 0
    """Tests that asked the gate's rows."""
    spent: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """By all of them together."""

    @property
    def left(self) -> float:
        """What all later tests may spend together; 0 where a total set lower is spent already."""
        return max(0.0, self.life_alpha - self.spent)

    @property
    def alpha(self) -> float:
        """What the next test may spend."""
        return self.left / (self.looks + 2)

    def looked(self) -> Spending:
        """After the next test."""
        return replace(self, looks=self.looks + 1, spent=self.spent + self.alpha)
