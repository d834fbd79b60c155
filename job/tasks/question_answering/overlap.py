"""How far an answer is the right one, as SQuAD's script measures it. Pure functions."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(text: str) -> str:
    """Lower case, without punctuation, articles and surplus white space, as SQuAD's script has it."""
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_PUNCTUATION)).split())


def exact(prediction: str, truth: str) -> float:
    """1 if both are the same text when normalized, else 0."""
    return float(normalized(prediction) == normalized(truth))


def overlap(prediction: str, truth: str) -> float:
    """F1 over the words that both have; where one has no words, whether the other has none either."""
    guess, right = normalized(prediction).split(), normalized(truth).split()
    if not guess or not right:
        return float(guess == right)
    common = (Counter(guess) & Counter(right)).total()
    return 2 * common / (len(guess) + len(right))


def figures_of(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> npt.NDArray[np.float64]:
    """The exact match and the F1 of each row, the best over its right answers, shape (rows, 2).

    Args:
        predictions: one text each, empty for no answer.
        references: the right texts, none for no answer.
    """
    rows = [
        [max(measure(guess, one) for one in right or [""]) for measure in (exact, overlap)]
        for guess, right in zip(predictions, references, strict=True)
    ]
    return np.array(rows, np.float64).reshape(-1, 2)
