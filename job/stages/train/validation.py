"""Between steps: the validation split is scored, the best step is selected, and patience ends."""

from __future__ import annotations

from dataclasses import replace

from job.checkpoint.catalog import TrainerState
from job.errors import SettingsError, Stopped
from job.runtime.stop import polling
from job.runtime.watchdog import Watchdog
from job.scoring import Metrics, better, score_together
from job.scoring.held_out import HeldOut
from job.scoring.inference import Inference
from job.stages.train.context import TrainContext
from job.stages.train.history import History
from job.stages.train.parallel import ParallelModel
from job.stages.train.plan import Plan
from job.telemetry import event, figures


class Evaluator:
    """Scores the validation rows and selects the best step by them; every rank takes part."""

    def __init__(
        self,
        context: TrainContext,
        parallel: ParallelModel,
        plan: Plan,
        history: History,
        watchdog: Watchdog,
    ) -> None:
        self._settings, self._metric = context.settings, context.metric
        self._stop, self._world = context.stop, context.world
        self._parallel, self._plan, self._history = parallel, plan, history
        self._watchdog = watchdog
        self._inference = Inference(parallel.local, context.task, context.tokenizer, context.limits)
        validation = HeldOut.open(context.dataset, "validation")
        self._validation = validation and validation.spread(context.settings.evaluate.max_rows)

    @property
    def has_rows(self) -> bool:
        """Whether the data set has a validation split."""
        return self._validation is not None

    def due(self, state: TrainerState, done: int) -> bool:
        """Whether the settings ask for an evaluation after `done` steps, and it has not been made yet."""
        every = self._settings.evaluate.every_steps
        due = done % every == 0 if every else self._plan.ends_epoch(done)
        return due and self.has_rows and state.evaluated != done

    def out_of_patience(self, state: TrainerState) -> bool:
        """Whether too many evaluations in a row brought no better score."""
        patience = self._settings.train.patience
        if patience is None or state.stale < patience:
            return False
        event("no better score; ending early", evaluations=patience, best_step=state.best_step)
        return True

    def evaluate(self, state: TrainerState) -> TrainerState:
        """Score the model as it is now; returns the state with what follows for the best step.

        Raises:
            Stopped: a rank was told to stop.
            SettingsError: the task has no such metric.
            Diverged: the loss is not a finite number.
        """
        assert self._validation is not None
        done, lockstep = state.step, self._parallel.sharded
        doing = f"the evaluation after step {done}"
        with self._watchdog.watching(doing), polling(self._poll):
            metrics = score_together(
                self._inference, self._validation, self._world, lockstep=lockstep
            )
        if self._metric not in metrics:
            raise _no_such_metric(self._metric, metrics)
        improved = better(metrics[self._metric], state.best_score, self._metric)
        self._record(done, metrics, improved=improved)
        if not improved:
            return replace(state, evaluated=done, stale=state.stale + 1)
        value = metrics[self._metric]
        return replace(state, evaluated=done, best_score=value, best_step=done, stale=0)

    def _poll(self) -> None:
        """Between two batches: stop all ranks if one of them was told to."""
        self._watchdog.beat()
        if self._world.any(self._stop.raised)[0]:
            raise Stopped("stopped by a signal")

    def _record(self, done: int, metrics: Metrics, *, improved: bool) -> None:
        self._history.add({"step": done, **{f"eval_{k}": v for k, v in metrics.items()}})
        shown = {name: metrics[name] for name in ("loss", self._metric)}
        figures(metric=self._metric, **{f"eval_{name}": value for name, value in shown.items()})
        event("evaluated", step=done, split="validation", **shown, best=improved)


def _no_such_metric(metric: str, metrics: Metrics) -> SettingsError:
    return SettingsError(
        f"FINETUNE_EVALUATE__METRIC={metric} is not a metric of this task",
        hint=f"use one of {', '.join(sorted(metrics)[:40])}",
    )
