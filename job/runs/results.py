"""What a run says of itself: its scores and figures, the facts of its card, its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from job.data.artifacts import Dataset
from job.errors import Absent, Torn
from job.registry.versions import Version
from job.reporting.card import CardFacts
from job.runs.attempt import Attempt
from job.runs.provenance import Provenance
from job.runs.record import Run
from job.settings import recorded
from job.settings.metrics import headline
from job.stages.train import TrainOutput
from job.store import Store, layout
from job.store.commit import Manifest, verify
from job.tasks.base import Task
from job.telemetry import warn
from job.uris import Uri


@dataclass(frozen=True)
class Result:
    """How a command ended: facts for machines, lines for the person who started it."""

    facts: Mapping[str, Any]

    @property
    def lines(self) -> list[str]:
        """The facts, one a line."""
        return [f"{name:<14} {value}" for name, value in self.facts.items()]


def eval_results(scores: Mapping[str, float], trained: TrainOutput, run: Run) -> dict[str, Any]:
    """What eval_results.json holds: flat, by transformers' own names.

    `goodput` is the part of the run's time, over all attempts, that was spent in training steps.
    """
    state = trained.state
    return {
        **scores,
        "train_loss": state.loss_sum / max(1, state.step),
        "train_runtime": round(state.seconds, 3),
        "train_samples_per_second": round(state.rows / state.seconds, 3) if state.seconds else 0.0,
        "train_steps": state.step,
        "epoch": trained.epochs,
        "goodput": round(state.seconds / max(state.seconds, time.time() - run.state.began), 4),
    }


def card_facts(
    attempt: Attempt, task: Task, dataset: Dataset, version: Version, provenance: Provenance
) -> CardFacts:
    """What the card says."""
    settings, fitted = attempt.settings, task.facts
    return CardFacts(
        name=settings.name,
        task=task.name,
        run_id=attempt.run.state.run_id,
        version=version.name,
        uri=str(attempt.run.store.uri / version.key),
        base_model=attempt.base.place.name if settings.model.name else "a config, from scratch",
        base_is_hub_id=bool(settings.model.name) and Uri(attempt.base.place.name).is_hub_id,
        license=settings.publish.license,
        labels=tuple(fitted.get("labels", ())),
        classes=tuple(fitted.get("types", fitted.get("labels", ()))),
        regression=fitted.get("problem_type") == "regression",
        pairs="text_pair" in task.columns,
        profile=dataset.profile,
        files=tuple((i.split, i.uri) for i in provenance.inputs.files),
        fingerprint=provenance.dataset,
        settings=recorded(settings),
        max_length=attempt.base.max_length,
        steps=provenance.steps,
        best_step=provenance.best_step,
        metric=provenance.metric,
        made_with=provenance.computed,
        cut_side=attempt.base.tokenizer.truncation_side,
        adapters_for=None if settings.publish.merge else task.auto_class,
    )


def existing(store: Store, key: str) -> Manifest | None:
    """The manifest of an earlier result that is whole; None where it is to be made, or made again.

    Raises:
        Garbled: what lies there cannot be read.
    """
    try:
        return verify(store, key)
    except Absent:
        return None
    except Torn as error:
        warn("an earlier result is damaged and is made again", reason=error.message)
        return None


def summary(store: Store, key: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Where the model, the card and the scores are, and the scores that matter."""
    place = str(store.uri / key)
    return {
        "model": place,
        "card": f"{place}/{layout.CARD}",
        "scores": f"{place}/{layout.SCORES}",
        **headline(scores),
    }
