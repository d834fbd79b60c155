"""How often the bootstrap's interval holds the true difference: over many gates drawn from a population
of rows that two models have answered, whose difference is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from job.scoring.compare import compare
from job.tasks.scorers import Scorer, SumScorer, whole
from job.tasks.seq2seq.scorers import sacrebleu_scorer
from job.tasks.text_classification.scorers import of_classes

POPULATION = 20_000
GATES = 1_000
LABELS = ("bug", "billing", "praise", "spam")


def classifiers(metric: str) -> list[Scorer]:
    """Two of them that are wrong on the same hard rows more often than by chance."""
    random = np.random.default_rng(5)
    true = random.choice(4, size=POPULATION, p=[0.5, 0.3, 0.15, 0.05])
    hard = random.normal(size=POPULATION)
    found: list[Scorer] = []
    for skill in (1.40, 1.25):
        right = random.normal(scale=0.35, size=POPULATION) + skill - 0.2 * (true == 3) > hard
        guess = np.where(right, true, (true + random.integers(1, 4, size=POPULATION)) % 4)
        labels, guesses = [LABELS[label] for label in true], np.eye(4, dtype=np.float32)[guess]
        scorer = of_classes(metric, labels, guesses, LABELS)
        assert isinstance(scorer, SumScorer)
        found.append(replace(scorer, correct=None))  # accuracy by the bootstrap, too
    return found


def translators() -> list[Scorer]:
    """Two of them that get more words wrong in hard sentences."""
    random = np.random.default_rng(6)
    words = np.array([f"w{number}" for number in range(3_000)])
    sizes = random.integers(5, 35, size=POPULATION)
    hard = random.normal(size=POPULATION)
    references = [words[(3_000 * random.random(size) ** 3).astype(int)] for size in sizes]
    found: list[Scorer] = []
    for skill in (1.05, 1.0):
        chance = ndtr(skill - 0.5 * hard + random.normal(scale=0.2, size=POPULATION))
        texts = [
            " ".join(np.where(random.random(len(row)) < p, row, random.choice(words, len(row))))
            for row, p in zip(references, chance, strict=True)
        ]
        scorer = sacrebleu_scorer("bleu", texts, [" ".join(row) for row in references])
        assert scorer is not None
        found.append(scorer)
    return found


MODELS: dict[str, Callable[[], Sequence[Scorer]]] = {
    "accuracy": lambda: classifiers("accuracy"),
    "macro F1": lambda: classifiers("f1"),
    "BLEU": translators,
}


@pytest.mark.slow
@pytest.mark.parametrize("rows", [200, 1_000])
@pytest.mark.parametrize("metric", MODELS)
def test_it_holds_the_true_difference_as_often_as_it_says(metric: str, rows: int) -> None:
    challenger, reference = MODELS[metric]()
    truth = whole(challenger) - whole(reference)
    assert truth > 0
    random = np.random.default_rng(rows)
    above = below = 0
    for _ in range(GATES):
        gate = random.integers(POPULATION, size=rows)
        found = compare(challenger.take(gate), reference.take(gate), 0.025, minimized=False)
        above += found.lower > truth
        below += found.upper < truth
    print(f"{metric}, {rows} rows: {GATES - above - below} hold, {above} above, {below} below")
    assert abs((above + below) / GATES - 0.05) <= 0.015
