"""`make bench-gate`: how often a gate is wrong over a champion's life, and how soon it lets better ones through.

Lives are simulated from tables of right and wrong answers. Every row has a difficulty, so that models
err on the same rows more often than by chance; a model's true accuracy is its expectation over all
difficulties, and known. The rows of a gate are drawn once a life; each night a challenger, of an accuracy
relative to that of the best champion so far, answers them. Given the difficulties, answers are
independent, so that of each difficulty only the number of rows is drawn that both, or one of the two,
has right: the same distribution as drawing each row.

`python -m tests.bench.gate [--lives 1000] [--nights 1000] [--write docs/retraining.md]`
"""

from __future__ import annotations

import argparse
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from job.registry.spending import Spending
from job.scoring.compare import compare
from job.scoring.mcnemar import p_value
from job.tasks.scorers import share_of

GATES = (200, 1_000, 10_000)
MARGIN = 0.01
START, HIGHEST = 90, 98
"""True accuracies in percent: of the first champion, and the highest that there is."""
DIFFICULTIES = 16
SPREAD = 0.3
"""Of one row's answers by models equally good; with it 6 % of the rows are discordant at 90 %."""
KINDS: dict[str, tuple[int, ...]] = {
    "worse by 5 points": (-5,),
    "worse by 2 points": (-2,),
    "worse by 1 point": (-1,),
    "equal": (0,),
    "better by 1 point": (1,),
    "better by 2 points": (2,),
    "better by 5 points": (5,),
    "any of these": (-5, -2, -1, 0, 1, 2, 5),
}
"""By how many points the challengers of a life differ from the best champion so far."""

Policy = Literal["not-worse", "better"]
Ints = npt.NDArray[np.int64]
Decision = Callable[[int, Ints, Ints, int], npt.NDArray[np.bool_]]
"""Of a night's number, the rows that the challenger alone has right, those that the reference alone has,
and all rows: whether it is promoted."""


def abilities() -> npt.NDArray[np.float64]:
    """The probability that a model is right on a row: (accuracy in percent, difficulty)."""
    difficulty = ndtri((np.arange(DIFFICULTIES) + 0.5) / DIFFICULTIES)
    skill = np.linspace(-8, 8, 200_001)
    of_skill = np.mean([ndtr((skill - each) / SPREAD) for each in difficulty], axis=0)
    skills = np.interp(np.arange(101) / 100, of_skill, skill)
    return np.asarray(ndtr((skills[:, None] - difficulty) / SPREAD))


ABILITY = abilities()


def shares(nights: int) -> list[float]:
    """What each night may spend."""
    spending, found = Spending(), []
    for _ in range(nights):
        found.append(spending.alpha)
        spending = spending.looked()
    return found


def spent(policy: Policy, nights: int) -> Decision:
    """The gate's decision: the interval's lower end is above the policy's bound exactly where the test
    rejects that bound at the night's alpha (tests/scoring/test_lives.py)."""
    alpha = shares(nights)
    margin = MARGIN if policy == "not-worse" else 0.0
    return lambda night, won, lost, rows: p_value(won, lost, rows, margin) < alpha[night]


def unspent(policy: Policy) -> Decision:
    """The same test at 5 % every night."""
    margin = MARGIN if policy == "not-worse" else 0.0
    return lambda night, won, lost, rows: p_value(won, lost, rows, margin) < 0.05


def threshold(_night: int, won: Ints, lost: Ints, _rows: int) -> npt.NDArray[np.bool_]:
    """The new number is higher."""
    return won > lost


@dataclass
class Lives:
    """What became of many lives."""

    worse: npt.NDArray[np.bool_]
    """By life: one was promoted that is worse than the best champion so far, by MARGIN or more."""
    not_better: npt.NDArray[np.bool_]
    """By life: one was promoted that is not better than the best champion so far."""
    first: Ints
    """By life: the night of the first promotion, from 1; 0 where there was none."""
    promoted: int
    """In all of them."""
    discordant: float
    """The share of rows that one of two models alone has right, on the average."""

    def within(self, nights: int) -> float:
        """The share of lives with a promotion by then."""
        return float(np.mean((self.first > 0) & (self.first <= nights)))


def live(
    rows: int, points: Sequence[int], decide: Decision, *, lives: int, nights: int, seed: int
) -> Lives:
    """Simulate lives.

    Args:
        rows: of the gate.
        points: how much better a night's challenger is than the best champion so far, in percent; one of
            these is drawn each night. None is better than HIGHEST.
    """
    rng = np.random.default_rng(seed)
    of_difficulty = rng.multinomial(rows, np.full(DIFFICULTIES, 1 / DIFFICULTIES), size=lives)
    best = np.full(lives, START)
    right = rng.binomial(of_difficulty, ABILITY[best])  # of the reference, by life and difficulty
    found = Lives(np.zeros(lives, bool), np.zeros(lives, bool), np.zeros(lives, int), 0, 0.0)
    for night in range(nights):
        true = np.minimum(best + rng.choice(points, size=lives), HIGHEST)
        both = rng.binomial(right, ABILITY[true])
        alone = rng.binomial(of_difficulty - right, ABILITY[true])
        won, lost = alone.sum(axis=1), (right - both).sum(axis=1)
        promoted = decide(night, won, lost, rows)
        found.worse |= promoted & (true <= best - round(100 * MARGIN))
        found.not_better |= promoted & (true <= best)
        found.first[promoted & (found.first == 0)] = night + 1
        found.promoted += int(promoted.sum())
        found.discordant += float(np.mean(won + lost)) / rows / nights
        # the standard moves to a promoted challenger that scores higher on the gate
        moves = promoted & (won > lost)
        right[moves] = (both + alone)[moves]
        best = np.where(promoted, np.maximum(best, true), best)
    return found


# -- what is written --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """A kind of challengers put to a gate, and what each rule made of the same draws."""

    kind: str
    rows: int
    lives: Mapping[str, Lives]


RULES: Mapping[str, Callable[[int], Decision]] = {
    "not-worse": partial(spent, "not-worse"),
    "not-worse, unspent": lambda _: unspent("not-worse"),
    "better": partial(spent, "better"),
    "better, unspent": lambda _: unspent("better"),
    "higher": lambda _: threshold,
}


def simulated(lives: int, nights: int) -> Iterator[Setting]:
    """All kinds at all gates."""
    for kind, points in KINDS.items():
        for rows in GATES:
            started = time.monotonic()
            found = {
                name: live(rows, points, rule(nights), lives=lives, nights=nights, seed=rows)
                for name, rule in RULES.items()
            }
            print(f"{kind}, {rows:,} rows: {time.monotonic() - started:.0f} s", flush=True)
            yield Setting(kind, rows, found)


def wrong(settings: Sequence[Setting]) -> Iterator[str]:
    """The share of lives with a wrong promotion."""
    yield "| challengers | rows | `not-worse` | 5 % a night | higher | `better` | 5 % a night | higher |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for setting in settings:
        if setting.kind.startswith("better"):
            continue
        shares = [
            *(setting.lives[rule].worse for rule in ("not-worse", "not-worse, unspent", "higher")),
            *(setting.lives[rule].not_better for rule in ("better", "better, unspent", "higher")),
        ]
        figures = " | ".join(percent(float(share.mean())) for share in shares)
        yield f"| {setting.kind} | {setting.rows:,} | {figures} |"


def promoted(settings: Sequence[Setting]) -> Iterator[str]:
    """The share of lives in which a better challenger was promoted within 1, 3 and 10 nights."""
    yield "| challengers | rows | `not-worse` | `better` | higher |"
    yield "|---|--:|--:|--:|--:|"
    for setting in settings:
        if setting.kind.startswith("better"):
            figures = " | ".join(
                " / ".join(percent(setting.lives[rule].within(nights)) for nights in (1, 3, 10))
                for rule in ("not-worse", "better", "higher")
            )
            yield f"| {setting.kind} | {setting.rows:,} | {figures} |"


def needed() -> Iterator[str]:
    """How many rows a gate needs."""
    yield "| margin | discordant rows | night 1 | night 30 | night 365 |"
    yield "|---|--:|--:|--:|--:|"
    for margin in (0.005, 0.01, 0.02):
        for discordant in (0.03, 0.06):
            nights = (rows_for(margin, discordant, night) for night in (1, 30, 365))
            figures = " | ".join(f"{rows:,}" for rows in nights)
            unit = "point" if margin == 0.01 else "points"
            yield f"| {100 * margin:g} {unit} | {percent(discordant)} | {figures} |"


def rows_for(margin: float, discordant: float, night: int) -> int:
    """The least rows, in hundreds, that promote a challenger as good as the champion in four nights out of
    five: where the smallest difference from the bound that they show is the margin."""
    alpha = shares(night)[-1]

    def shown(hundreds: int) -> bool:
        rows = 100 * hundreds
        half = round(discordant * rows / 2)
        challenger, reference = np.arange(rows) >= half, np.arange(rows) < rows - half
        pair = share_of(challenger), share_of(reference)
        return compare(*pair, alpha, minimized=False, bound=-margin).smallest <= margin

    return 100 * (bisect_left(range(1, 10_000), True, key=shown) + 1)


def percent(share: float) -> str:
    """One decimal below 10 %, where it is not 0."""
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


def written(text: str, tables: Mapping[str, Iterable[str]]) -> str:
    """The text with each table in its place, between two comments that name it."""
    for name, lines in tables.items():
        before, mark, after = text.partition(f"<!-- gate: {name} -->\n")
        _, end, after = after.partition("<!-- end -->")
        assert mark and end, name
        text = "".join([before, mark, "\n", *(f"{line}\n" for line in lines), "\n", end, after])
    return text


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lives", type=int, default=1_000)
    parser.add_argument("--nights", type=int, default=1_000)
    parser.add_argument("--write", type=Path, help="a page that has a place for the tables")
    asked = parser.parse_args()
    settings = list(simulated(asked.lives, asked.nights))
    tables = {
        "wrong": list(wrong(settings)),
        "promoted": list(promoted(settings)),
        "rows": list(needed()),
    }
    print("\n\n".join("\n".join(lines) for lines in tables.values()))
    if asked.write:
        asked.write.write_text(written(asked.write.read_text(), tables))


if __name__ == "__main__":
    main()
