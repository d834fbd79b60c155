"""One attempt's training: the model, its plan, where it stands, and what happens between steps."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from job import checkpoint, models
from job.checkpoint import TrainerState
from job.errors import SettingsError, Stopped
from job.history import History
from job.optimization import adamw
from job.runtime import accelerator, precision_of, seed_everything
from job.scoring import HeldOut, better, score
from job.settings import Evaluate
from job.stages.train import state as tensors
from job.stages.train.adapt import adapted, compiled, merged
from job.stages.train.given import Given, Trained
from job.stages.train.loop import Clock, Stepper
from job.stages.train.plan import Plan
from job.tables import MappedTable
from job.tasks.base import Task
from job.telemetry import event, progress, warn


class Session:
    """Holds the model from the first step, or the resumed one, to the saved result."""

    def __init__(self, given: Given) -> None:
        settings, task, limits = given.settings, given.task, given.limits
        self.settings, self.task, self.limits, self.home = settings, task, limits, given.home
        self.stop, self.tokenizer, self.place = given.stop, given.tokenizer, given.place
        self.table = MappedTable(given.dataset.table("train"))
        validation = HeldOut.open(given.dataset, "validation")
        self.validation = validation and validation.spread(settings.evaluate.max_rows)
        self.metric = _metric(settings.evaluate, task)
        self.plan = Plan(
            limits.lengths(self.table),
            partial(task.row_weights, self.table),
            settings.train,
            settings.seed,
            limits.padding.multiple,
        )
        precision = precision_of(settings.train.precision, settings.runtime)
        self.handle = accelerator(precision, settings.runtime)
        seed_everything(settings.seed)
        model = models.load(given.place, task, settings.model)
        self.model = adapted(model, given.tokenizer, task, settings.model).to(self.handle.device)
        self.optimizer = adamw(self.model, settings.train)
        self.state = self._resume()
        self.stepper = Stepper(
            self.handle,
            compiled(self.model, settings.train),
            self.optimizer,
            task,
            self.table,
            self.plan,
            limits,
            settings.seed,
        )
        self.clock = Clock(self.state.seconds, self.state.rows)
        self.history = History(
            self.home.store, self.home.prefix, self.home.attempt, self.state.step
        )
        self._latest: dict[str, float] = {}
        self._committed_at, self._committed_step = time.monotonic(), self.state.step
        self._commit_seconds = 0.0

    # -- the steps -------------------------------------------------------------------------------

    def run(self) -> None:
        """Step until the end, evaluating and committing in between."""
        settings, plan = self.settings, self.plan
        event(
            "training",
            rows=len(self.table),
            steps=plan.total,
            batch_size=settings.train.batch_size,
            device=str(self.handle.device),
            precision=self.handle.mixed_precision,
            from_step=self.state.step,
            parameters=sum(p.numel() for p in self.model.parameters() if p.requires_grad),
        )
        self.stepper.model.train()
        at = self.state.step
        if at and (at == plan.total or self._evaluation_due(at)):
            self._pause(at)  # the last attempt was stopped in this evaluation
        # reading a loss makes a GPU wait for it
        every = 1 if self.handle.device.type == "cpu" else 10
        with progress(settings.log, "train", plan.total, start=at) as bar:
            while not self.state.finished:
                self.clock.start()
                rows = self.stepper.step(self.state.step)
                done = self.state.step + 1
                due = self._due(done)
                if due or done % every == 0 or self.stop.raised:
                    self._measure()
                self.clock.stop(rows)
                bar.advance(1, **self._latest)
                self.state = replace(self.state, step=done)
                if due:
                    self._pause(done)
                if self.stop.raised and not self.state.finished:
                    self._stop()

    def _measure(self) -> None:
        """Take over the figures of the last steps; `clock` still counts."""
        for line in self.stepper.measured():
            number = int(line["step"])
            line["learning_rate"] = self.plan.learning_rate(number - 1)
            line["epoch"] = number / self.plan.per_epoch
            line["rows_per_second"] = (
                self.clock.rows / self.clock.seconds if self.clock.seconds else 0.0
            )
            self.history.add(line)
            self.state = replace(self.state, loss_sum=self.state.loss_sum + line["loss"])
            self._latest = line

    def _due(self, done: int) -> bool:
        """Whether something but stepping is to be done after `done` steps."""
        return (
            done == self.plan.total
            or self._evaluation_due(done)
            or bool(
                self.settings.checkpoint.every_steps
                and done % self.settings.checkpoint.every_steps == 0
            )
            or time.monotonic() - self._committed_at >= self.settings.checkpoint.every_seconds
            or self._out_of_time()
        )

    def _evaluation_due(self, done: int) -> bool:
        every = self.settings.evaluate.every_steps
        due = done % every == 0 if every else self.plan.ends_epoch(done)
        return due and self.validation is not None and self.state.evaluated != done

    def _out_of_time(self) -> bool:
        limit = self.settings.train.max_runtime
        return limit is not None and self.clock.seconds >= limit

    # -- between steps ---------------------------------------------------------------------------

    def _pause(self, done: int) -> None:
        """Evaluate if it is time, decide whether this is the end, and commit a checkpoint."""
        patience = self.settings.train.patience
        ended = done == self.plan.total or self._out_of_time()
        if self._evaluation_due(done) or (ended and self.validation is not None):
            try:
                self._evaluate(done)
            except Stopped:
                self._stop()
        out_of_patience = patience is not None and self.state.stale >= patience
        if out_of_patience:
            event(
                "no better score; ending early",
                evaluations=patience,
                best_step=self.state.best_step,
            )
        self.state = replace(self.state, finished=ended or out_of_patience)
        self._commit()

    def _evaluate(self, done: int) -> None:
        assert self.validation is not None
        _, metrics = score(
            self.stepper.model,
            self.task,
            self.validation,
            self.tokenizer,
            self.limits,
            self.handle.device,
            poll=self.stop.poll,
        )
        if self.metric not in metrics:
            raise _no_such_metric(self.metric, metrics)
        value = metrics[self.metric]
        improved = better(value, self.state.best_score, self.metric)
        self.state = replace(
            self.state,
            evaluated=done,
            best_score=value if improved else self.state.best_score,
            best_step=done if improved else self.state.best_step,
            stale=0 if improved else self.state.stale + 1,
        )
        self.history.add({"step": done, **{f"eval_{k}": v for k, v in metrics.items()}})
        shown = {k: metrics[k] for k in ("loss", self.metric)}
        event("evaluated", step=done, split="validation", **shown, best=improved)

    def _commit(self) -> None:
        """Commit a checkpoint and this attempt's metrics."""
        began = time.monotonic()
        self._measure()  # nothing is committed before its loss was seen
        scaler = self.handle.scaler.state_dict() if self.handle.scaler else None
        self.state = replace(
            self.state, seconds=self.clock.seconds, rows=self.clock.rows, scaler=scaler
        )
        home = self.home
        # before the checkpoint: metrics beyond it are cut when they are merged, lost ones are lost
        self.history.commit()
        checkpoint.save(
            home.store,
            home.checkpoints,
            home.attempt,
            self.state,
            {
                "model": tensors.model_tensors(self.model),
                "optimizer": tensors.optimizer_tensors(self.model, self.optimizer),
            },
            home.scratch / "checkpoint",
            self._facts(),
        )
        home.committed(self.state.step)
        checkpoint.prune(
            home.store,
            home.checkpoints,
            keep=self.settings.checkpoint.keep,
            best_step=self.state.best_step,
        )
        self._committed_at, self._committed_step = time.monotonic(), self.state.step
        self._commit_seconds = self._committed_at - began

    def _facts(self) -> dict[str, Any]:
        """What must be the same for a resumed run to end with the same bits."""
        import torch

        return {
            "world": self.handle.num_processes,
            "threads": torch.get_num_threads(),
            "tokens": self.limits.tokens,
        }

    def _stop(self) -> NoReturn:
        """Commit if what the last commit took fits what is left of the grace period."""
        fits = self.stop.seconds_left > 1.5 * self._commit_seconds + 1
        if fits and self._committed_step != self.state.step:
            self._commit()
        raise Stopped(f"stopped by a signal at step {self.state.step} of {self.plan.total}")

    # -- begin and end ---------------------------------------------------------------------------

    def _resume(self) -> TrainerState:
        found = checkpoint.newest(
            self.home.store, self.home.checkpoints, self.home.scratch / "restored"
        )
        if found is None:
            return TrainerState()
        tensors.load_model_tensors(self.model, found.tensors("model"))
        tensors.load_optimizer_tensors(self.model, self.optimizer, found.tensors("optimizer"))
        if self.handle.scaler and found.state.scaler:
            self.handle.scaler.load_state_dict(dict(found.state.scaler))
        for name, (before, now) in checkpoint.differences(found.manifest, self._facts()).items():
            warn(
                "resumed in another environment; the last bits may differ",
                what=name,
                before=before,
                now=now,
            )
        event("resumed", step=found.state.step)
        return found.state

    def finish(self) -> Trained:
        """The best weights saved in Hugging Face format, adapters merged or alone."""
        state, home = self.state, self.home
        if state.best_step is not None and state.best_step != state.step:
            best = checkpoint.restore(
                home.store, home.checkpoints, state.best_step, home.scratch / "best"
            )
            tensors.load_model_tensors(self.model, best.tensors("model"))
            event("best checkpoint taken", step=state.best_step, **{self.metric: state.best_score})
        folder, epochs = home.scratch / "model", state.step / self.plan.per_epoch
        self.task.configure(self.model.config)
        if not self.settings.merge:
            model, base = self.settings.model, self.place
            models.save_adapter(self.model, self.tokenizer, base, model, folder)
            return Trained(folder, state, epochs, self.metric, base.weights)
        models.save(merged(self.model), self.tokenizer, folder)
        return Trained(folder, state, epochs, self.metric)


def _metric(settings: Evaluate, task: Task) -> str:
    return (settings.metric or task.default_metric).removeprefix("eval_")


def _no_such_metric(metric: str, metrics: dict[str, float]) -> SettingsError:
    return SettingsError(
        f"FINETUNE_EVALUATE__METRIC={metric} is no metric of this task",
        hint=f"use one of {', '.join(sorted(metrics)[:40])}",
    )
