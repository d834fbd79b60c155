"""Metrics of question-answering as an `evaluate.Metric` that needs no download.

Importing this module imports `evaluate`, which takes seconds; import it where scores are computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from job.tasks.question_answering.overlap import figures_of


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
        figures = figures_of(predictions, references)
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
