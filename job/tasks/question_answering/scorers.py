"""Metrics of question-answering as scorers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from job.tasks.question_answering.overlap import figures_of
from job.tasks.scorers import PERCENT, Scorer, SumScorer, defined, mean_of, quotient, share_of


def scorer_of(
    metric: str, predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> Scorer | None:
    """A metric of answers.

    Args:
        metric: by name.
        predictions: the predicted text of each row, empty for no answer.
        references: the right texts of each row, none for no answer.
    """
    exact, overlap = figures_of(predictions, references).T
    answerable = np.array([len(right) > 0 for right in references], np.bool_)
    parts = {"answerable": answerable, "unanswerable": ~answerable}
    part, _, figure = metric.partition("_")
    if part in parts:
        figures = {"exact_match": exact, "f1": overlap}
        return defined(_mean_within(figures[figure], parts[part])) if figure in figures else None
    if metric == "exact_match":
        return share_of(exact, PERCENT)
    return mean_of(overlap, PERCENT) if metric == "f1" else None


def _mean_within(
    figures: np.typing.NDArray[np.float64], part: np.typing.NDArray[np.bool_]
) -> SumScorer:
    """The mean over a part of the rows; as many of them are drawn as there are."""
    values = np.stack([PERCENT * figures * part, part], axis=-1)
    return SumScorer(values, quotient, PERCENT, strata=part.astype(np.int64))
