"""Metrics of question-answering as an `evaluate.Metric` that needs no download.

Importing this module imports `evaluate`, which takes seconds; import it where scores are computed.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

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


class AnswerScores(evaluate.Metric):
    """SQuAD's exact match and F1, in percent (Rajpurkar et al. 2016, 2018).

    Predictions: one text each, empty for no answer. References: the right texts, none for no answer.
    """

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description="Exact match and F1 of answers, the best over the right ones",
            citation="",
            inputs_description="predictions: one text each; references: the right texts",
            features=datasets.Features(
                {"predictions": text, "references": datasets.Sequence(text)}
            ),
        )

    def _compute(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]]
    ) -> dict[str, float]:
        """Over all rows, and where some have no answer, over those with and those without one."""
        pairs = zip(predictions, references, strict=True)
        figures = np.array(
            [
                [max(measure(guess, one) for one in right or [""]) for measure in (exact, overlap)]
                for guess, right in pairs
            ]
        ).reshape(-1, 2)
        scores = _means("", figures)
        answered = np.array([len(right) > 0 for right in references], bool)
        if not answered.all():
            scores |= _means("unanswerable_", figures[~answered])
            scores |= _means("answerable_", figures[answered])
        return scores


def _means(prefix: str, figures: np.typing.NDArray[np.float64]) -> dict[str, float]:
    if not len(figures):
        return {}
    means = 100 * figures.mean(axis=0)
    return {f"{prefix}exact_match": float(means[0]), f"{prefix}f1": float(means[1])}


def compute(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Every metric by name.

    Args:
        predictions: the predicted text of each row, empty for no answer.
        references: the right texts of each row, none for no answer.
    """
    scores: dict[str, float] = AnswerScores(keep_in_memory=True).compute(
        predictions=list(predictions), references=[list(right) for right in references]
    )
    return scores
