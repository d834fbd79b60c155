"""What the nights' tests may spend of the chance that a worse model is ever promoted.

The k-th test gets life_alpha / (k (k + 1)). These shares sum to life_alpha, so by the union bound the
chance of any wrong promotion over the whole life is at most that, whatever depends on what.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

RULE = "life_alpha / (k (k + 1))"


@dataclass(frozen=True)
class Spending:
    """What was spent so far."""

    rule: str = RULE
    life_alpha: float = 0.05
    looks: int = 0
    """Tests that asked the gate's rows."""
    spent: float = 0.0

    @property
    def left(self) -> float:
        """What all later tests may spend together."""
        return max(0.0, self.life_alpha - self.spent)

    @property
    def alpha(self) -> float:
        """What the next test may spend."""
        k = self.looks + 1
        return min(self.left, self.life_alpha / (k * (k + 1)))

    def looked(self) -> Spending:
        """After the next test."""
        return replace(self, looks=self.looks + 1, spent=self.spent + self.alpha)
