"""One attempt's training: the model, its plan, where it stands, and what happens between steps."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from job import models
from job.checkpoint import catalog as checkpoint
from job.checkpoint import tensors
from job.checkpoint.catalog import Restored, TrainerState
from job.checkpoint.saver import Checkpoint, Saver
from job.data.arrow import MappedTable
from job.errors import JobError, PeerLost, SettingsError, Stopped, StoreError
from job.runtime.device import accelerator, check_gpu, has_gpu, precision_of, seed_everything
from job.runtime.stop import polling
from job.runtime.watchdog import Watchdog
from job.scoring import better, score_together
from job.scoring.held_out import HeldOut
from job.scoring.inference import Inference
from job.stages.train.context import Given, Trained
from job.stages.train.export import saved
from job.stages.train.history import History
from job.stages.train.model import adapted, compiled
from job.stages.train.optimizer import adamw
from job.stages.train.parallel import sharded
from job.stages.train.step import Clock, Stepper
from job.telemetry import event, figures, milestone, progress, warn


class Session:
    """Holds the model from the first step, or the resumed one, to the saved result."""

    def __init__(self, given: Given, found: Restored | None) -> None:
        """Joins the world: until then each rank makes ready what it can alone."""
        settings, task, limits, world = given.settings, given.task, given.limits, given.world
        self.given, self.settings, self.task, self.limits = given, settings, task, limits
        self.home, self.stop, self.world = given.home, given.stop, world
        self.state = found.state if found else TrainerState()
        self.table = MappedTable(given.dataset.table("train"))
        validation = HeldOut.open(given.dataset, "validation")
        self.validation = validation and validation.spread(settings.evaluate.max_rows)
        self.metric = given.metric
        self.plan = given.plan(self.table)
        if has_gpu(settings.runtime):
            check_gpu()
        precision = precision_of(settings.train.precision, settings.runtime)
        seed_everything(settings.seed)
        model = models.load(given.place, task, settings.model)
        model = adapted(model, given.tokenizer, task, settings.model)
        world.join()
        self.handle = accelerator(precision, settings.runtime)
        if self.handle.num_processes != self.world.size:
            raise JobError(
                f"accelerate counts {self.handle.num_processes} processes of {self.world.size}"
            )
        self.model = model.to(self.handle.device)
        split = settings.train.strategy == "fsdp" and world.size > 1
        if split:
            self.model = sharded(self.model, precision)
        self.optimizer = adamw(self.model, settings.train)
        self.stepper = Stepper(
            self.handle,
            compiled(self.model, settings.train),
            self.optimizer,
            task,
            self.table,
            self.plan,
            limits,
            settings.seed,
            world,
            split=split,
            shrunk=self.home.shrunk,
        )
        if found:
            self._restore(found)
        self.clock = Clock(self.state.seconds, self.state.rows)
        self.history = History(
            self.home.store, self.home.prefix, self.home.attempt, self.state.step
        )
        self.saver = Saver(
            self.home.store, self.home.checkpoints, self.home.attempt, world, self.home.scratch
        )
        self.watchdog = Watchdog(settings.runtime.step_timeout)
        self._latest: dict[str, float] = {}
        self._saved_at, self._saved_step = time.monotonic(), self.state.step

    def _restore(self, found: Restored) -> None:
        tensors.load_model(self.model, found)
        tensors.load_optimizer(self.model, self.optimizer, found)
        if self.handle.scaler and found.state.scaler:
            self.handle.scaler.load_state_dict(dict(found.state.scaler))
        for name, (before, now) in checkpoint.differences(found.meta, self._facts()).items():
            warn(
                "resumed in another environment; the last bits may differ",
                what=name,
                before=before,
                now=now,
            )
        milestone("Resumed", "resumed", step=found.state.step)

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
            world=self.world.size,
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
                with self.watchdog.watching(f"step {self.state.step + 1}"):
                    self.clock.start()
                    rows = self.stepper.step(self.state.step)
                    done = self.state.step + 1
                    stop, due = self.world.any(self.stop.raised, self._due(done))
                    if due or done % every == 0 or stop:
                        self._measure()
                    self.clock.stop(rows)
                bar.advance(1, **self._latest)
                figures(total_steps=plan.total, **self._latest)
                self.state = replace(self.state, step=done)
                self.saver.check()
                if due:
                    self._pause(done)
                if stop and not self.state.finished:
                    self._stop()
        self.saver.wait()

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
        """Whether something but stepping is to be done after `done` steps; the first rank's clock
        decides what time decides."""
        every = self.settings.checkpoint.every_steps
        return (
            done == self.plan.total
            or self._evaluation_due(done)
            or bool(every and done % every == 0)
            or (self.world.first and (self._checkpoint_time() or self._out_of_time()))
        )

    def _checkpoint_time(self) -> bool:
        return time.monotonic() - self._saved_at >= self.settings.checkpoint.every_seconds

    def _evaluation_due(self, done: int) -> bool:
        every = self.settings.evaluate.every_steps
        due = done % every == 0 if every else self.plan.ends_epoch(done)
        return due and self.validation is not None and self.state.evaluated != done

    def _out_of_time(self) -> bool:
        limit = self.settings.train.max_runtime
        return limit is not None and self.clock.seconds >= limit

    # -- between steps ---------------------------------------------------------------------------

    def _poll(self) -> None:
        """Between two batches of an evaluation: stop all ranks where one was told to."""
        self.watchdog.beat()
        if self.world.any(self.stop.raised)[0]:
            raise Stopped("stopped by a signal")

    def _pause(self, done: int) -> None:
        """Evaluate if it is time, decide whether this is the end, and commit a checkpoint."""
        patience = self.settings.train.patience
        ended = done == self.plan.total or bool(self.world.agreed(self._out_of_time()))
        if self._evaluation_due(done) or (ended and self.validation is not None):
            try:
                with self.watchdog.watching(f"the evaluation after step {done}"):
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
        with polling(self._poll):
            metrics = score_together(
                Inference(self.stepper.scored, self.task, self.given.tokenizer, self.limits),
                self.validation,
                self.world,
                lockstep=self.stepper.split,
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
        figures(metric=self.metric, **{f"eval_{name}": value for name, value in shown.items()})
        event("evaluated", step=done, split="validation", **shown, best=improved)

    def _commit(self) -> None:
        """Copy a checkpoint aside; it is committed, with this attempt's metrics, as training goes on."""
        self._measure()  # nothing is committed before its loss was seen
        scaler = self.handle.scaler.state_dict() if self.handle.scaler else None
        self.state = replace(
            self.state, seconds=self.clock.seconds, rows=self.clock.rows, scaler=scaler
        )
        # before the manifest: metrics beyond it are cut when they are merged, lost ones are lost
        saved = Checkpoint(
            self.state, self._facts(), self.history.commit, partial(self._committed, self.state)
        )
        found = tensors.model_tensors(self.model)
        found |= tensors.optimizer_tensors(self.model, self.optimizer)
        self.saver.save(found, saved)
        self._saved_at, self._saved_step = time.monotonic(), self.state.step
        if self.state.finished:
            self.saver.wait()

    def _committed(self, state: TrainerState) -> None:
        home = self.home
        home.committed(state.step)
        keep = self.settings.checkpoint.keep
        checkpoint.prune(home.store, home.checkpoints, keep=keep, best_step=state.best_step)

    def _facts(self) -> dict[str, Any]:
        """What must be the same for a resumed run to end with the same bits."""
        import torch

        return {
            "world": self.world.size,
            "threads": torch.get_num_threads(),
            "tokens": self.stepper.tokens,
        }

    def _stop(self) -> NoReturn:
        """Commit if what the last commit took fits what is left of the grace period of each rank."""
        left = self.world.smallest(int(1000 * min(self.stop.seconds_left, 1e6))) / 1000
        fits = bool(self.world.agreed(left > 1.5 * self.saver.seconds + 1))
        if fits:
            try:
                if self._saved_step != self.state.step:
                    self._commit()
                self.saver.wait()
                # a rank that left earlier would end the uploads of the others with its world
                self.world.part()
            except (StoreError, PeerLost) as error:
                warn("the last checkpoint stays the one before", reason=str(error))
        raise Stopped(f"stopped by a signal at step {self.state.step} of {self.plan.total}")

    def finish(self) -> Trained:
        """The best weights, saved by the first rank; the others are done."""
        self.world.leave()
        return saved(self.given, self.state, model=None if self.stepper.split else self.model)


def _no_such_metric(metric: str, metrics: dict[str, float]) -> SettingsError:
    return SettingsError(
        f"FINETUNE_EVALUATE__METRIC={metric} is no metric of this task",
        hint=f"use one of {', '.join(sorted(metrics)[:40])}",
    )
