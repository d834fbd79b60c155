"""Metrics of token-classification as an `evaluate.Metric` that needs no download.

Importing this module imports `evaluate`, which takes seconds; import it where scores are computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import datasets
import evaluate

from job.settings.metrics import SUPPORT, of_class
from job.tasks.token_classification.tags import Entity, entities

Tags = Sequence[Sequence[str]]


class EntityScores(evaluate.Metric):
    """seqeval's figures (its default mode). Predictions and references: the tags of each sentence."""

    def _info(self) -> evaluate.MetricInfo:
        sentences = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="Scores of entities found with the right words and type",
            citation="",
            inputs_description="predictions, references: the tags of each sentence",
            features=datasets.Features({"predictions": sentences, "references": sentences}),
        )

    def _compute(
        self, predictions: Tags, references: Tags, types: Sequence[str]
    ) -> dict[str, float]:
        """Precision, recall and F1 over all entities and for each type; accuracy over words.

        A fraction of nothing is 0. Without types (for tags that mark no entities) there is accuracy alone.
        """
        pairs = list(zip(predictions, references, strict=True))
        words = sum(len(tags) for _, tags in pairs)
        right = sum(a == b for guess, truth in pairs for a, b in zip(guess, truth, strict=True))
        scores: dict[str, float] = {"accuracy": right / words if words else 0.0}
        if not types:
            return scores
        guessed = _by_type(entity for guess, _ in pairs for entity in entities(guess))
        true = _by_type(entity for _, truth in pairs for entity in entities(truth))
        hits = _by_type(entity for guess, truth in pairs for entity in _common(guess, truth))
        scores |= _shares(hits.total(), guessed.total(), true.total())
        for name in types:
            each = _shares(hits[name], guessed[name], true[name])
            scores |= {of_class(metric, name): value for metric, value in each.items()}
            scores[of_class(SUPPORT, name)] = true[name]
        return scores


def _by_type(entities: Iterable[Entity]) -> Counter[str]:
    return Counter(entity.type for entity in entities)


def _common(guess: Sequence[str], truth: Sequence[str]) -> set[Entity]:
    return set(entities(guess)) & set(entities(truth))


def _shares(hits: int, guessed: int, true: int) -> dict[str, float]:
    return {
        "precision": hits / guessed if guessed else 0.0,
        "recall": hits / true if true else 0.0,
        "f1": 2 * hits / (guessed + true) if guessed + true else 0.0,
    }


def compute(predictions: Tags, references: Tags, types: Sequence[str]) -> dict[str, float]:
    """Every metric by name.

    Args:
        predictions: the predicted tags of each sentence.
        references: the true ones, as many.
        types: the entity types, none where tags mark no entities.
    """
    scores: dict[str, float] = EntityScores(keep_in_memory=True).compute(
        predictions=predictions, references=references, types=list(types)
    )
    return scores
