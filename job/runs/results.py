"""What a run says of itself: its data set's fingerprint, its figures, the facts of its card."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as package_version
from typing import Any

from job import models
from job.data.artifacts import Dataset
from job.reporting.card import Facts
from job.runs.attempt import Attempt
from job.runs.record import Run
from job.settings import recorded
from job.settings.metrics import HEADLINE
from job.stages.train import Trained
from job.store import Store
from job.tasks.base import Task
from job.uris import join, mask

PACKAGES = ("finetune-job", "transformers", "torch", "accelerate", "tokenizers", "peft")


@dataclass(frozen=True)
class Result:
    """How a run ended: facts for machines, lines for the person who started it."""

    facts: Mapping[str, Any]

    @property
    def lines(self) -> list[str]:
        """Where the model, the card and the scores are."""
        return [f"{name:<14} {value}" for name, value in self.facts.items()]


def figures(scores: Mapping[str, float], trained: Trained, run: Run) -> dict[str, Any]:
    """eval_results.json: flat, by transformers' own names.

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


def facts(
    attempt: Attempt, task: Task, dataset: Dataset, trained: Trained, version: str, key: str
) -> Facts:
    """What the card says."""
    settings, found = attempt.settings, task.facts
    return Facts(
        name=settings.name,
        task=task.name,
        run_id=attempt.run.state.run_id,
        version=version,
        uri=mask(join(attempt.run.store.uri, key)),
        base_model=mask(settings.model.name) or "a config, from scratch",
        base_is_hub_id=bool(settings.model.name) and models.is_hub_id(settings.model.name),
        license=settings.publish.license,
        labels=tuple(found.get("labels", ())),
        classes=tuple(found.get("types", found.get("labels", ()))),
        regression=found.get("problem_type") == "regression",
        pairs="text_pair" in task.columns,
        profile=dataset.profile,
        files=tuple((i.split, mask(i.uri)) for i in attempt.inputs.files),
        fingerprint=dataset.fingerprint,
        settings=recorded(settings),
        max_length=attempt.base.max_length,
        steps=trained.state.step,
        best_step=trained.state.best_step,
        metric=trained.metric,
        versions={name: package_version(name) for name in PACKAGES},
        adapters_for=None if settings.publish.merge else task.auto_class,
    )


def summary(store: Store, key: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Where the model, the card and the scores are, and the scores that matter."""
    place = mask(join(store.uri, key))
    return {
        "model": place,
        "card": f"{place}/README.md",
        "scores": f"{place}/eval_results.json",
        **headline(scores),
    }


def headline(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores that matter most, those of test before those of validation."""
    shown = [f"{prefix}_{name}" for prefix in ("test", "eval") for name in HEADLINE]
    return {name: round(scores[name], 4) for name in shown if name in scores}
