"""Metrics of token-classification as scorers: tags and types by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from job.settings.metrics import OF_CLASSES, of_class
from job.tasks.scorers import Scorer, SumScorer, defined, found, quotient
from job.tasks.token_classification.sentences import Sentence
from job.tasks.token_classification.tags import Entity, entities, types_of


def accuracy_scorer(sentences: Sequence[Sentence]) -> Scorer | None:
    """The share of the words whose tag is right."""
    values = [
        [sum(a == b for a, b in zip(s.guess, s.truth, strict=True)), len(s.truth)]
        for s in sentences
    ]
    return defined(SumScorer(np.array(values, np.float64), quotient))


def entity_scorer(sentences: Sequence[Sentence], metric: str) -> Scorer | None:
    """A figure of the entities: of all, or of those of one type, which are drawn among the sentences
    that have such and the rest."""
    if metric in OF_CLASSES:
        return defined(_figure(sentences, metric, None))
    types = types_of(tag for sentence in sentences for tag in sentence.truth)
    figures = {of_class(figure, name): (figure, name) for name in types for figure in OF_CLASSES}
    if metric not in figures:
        return None
    scorer = _figure(sentences, *figures[metric])
    return replace(scorer, strata=(scorer.values[:, 2] > 0).astype(np.int64))


def _figure(sentences: Sequence[Sentence], figure: str, name: str | None) -> SumScorer:
    """From how many entities of each sentence are found, how many the model says there are, and how
    many there are; of all types where none is named."""
    pairs = [(_entities(s.guess, name), _entities(s.truth, name)) for s in sentences]
    values = [[len(guess & true), len(guess), len(true)] for guess, true in pairs]
    sums = np.array(values, np.float64)
    return SumScorer(sums, lambda sums: found(figure, *sums.T))


def _entities(tags: Sequence[str], name: str | None) -> set[Entity]:
    return {entity for entity in entities(tags) if name in (None, entity.type)}
