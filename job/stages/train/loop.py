"""The training loop: from the first step, or a checkpoint, to the end."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from job.checkpoint.catalog import Restored, TrainerState
from job.data.arrow import MappedTable
from job.errors import PeerLost, Stopped, StoreError
from job.runtime.device import check_gpu, has_gpu, precision_of
from job.runtime.watchdog import Watchdog
from job.stages.train.checkpointing import Checkpointer
from job.stages.train.context import TrainContext, TrainOutput
from job.stages.train.export import export
from job.stages.train.history import History
from job.stages.train.model import initial_model
from job.stages.train.parallel import ParallelModel
from job.stages.train.step import Stepper
from job.stages.train.throughput import Throughput
from job.stages.train.validation import Evaluator
from job.telemetry import event, figures, progress, warn


class TrainLoop:
    """Steps, with what is due between them: evaluations, checkpoints, an agreed stop."""

    def __init__(self, context: TrainContext, restored: Restored | None) -> None:
        """Load the model and join the world; until then each rank does by itself what it can.

        Args:
            restored: the checkpoint to continue from; None to start with the first step.
        """
        self.context, self.settings = context, context.settings
        self.world, self.stop = context.world, context.stop
        self.state = restored.state if restored else TrainerState()
        table = MappedTable(context.dataset.table("train"))
        self.plan = context.plan(table)
        self.parallel = _parallel_model(context)
        self.stepper = Stepper(context, self.parallel, table, self.plan)
        workspace = context.workspace
        self.history = History(
            workspace.store, workspace.prefix, workspace.attempt, self.state.step
        )
        self.checkpointer = Checkpointer(context, self.stepper, self.history, self.state.step)
        if restored:
            self.checkpointer.restore(restored)
        self.throughput = Throughput(self.state.seconds, self.state.rows)
        self.watchdog = Watchdog(self.settings.runtime.step_timeout)
        self.evaluator = Evaluator(context, self.parallel, self.plan, self.history, self.watchdog)
        self._latest: dict[str, float] = {}

    def run(self) -> None:
        """Step until the end.

        Raises:
            Stopped: the run was told to stop; a checkpoint was committed if the grace period allowed.
            Diverged: a loss or gradient norm is not finite.
            PeerLost: another rank is gone.
        """
        self._announce()
        self.parallel.synchronized.train()
        start, total = self.state.step, self.plan.total
        if start and (start == total or self.evaluator.due(self.state, start)):
            self._pause()  # the last attempt was stopped in this evaluation
        with progress(self.settings.log, "train", total, start=start) as bar:
            while not self.state.finished:
                stop, due = self._step()
                bar.advance(1, **self._latest)
                figures(total_steps=total, **self._latest)
                self.checkpointer.saver.check()
                if due:
                    self._pause()
                if stop and not self.state.finished:
                    self._end_early()
        self.checkpointer.saver.wait()

    def finish(self) -> TrainOutput:
        """The best weights, saved by the first rank; the others are done."""
        self.world.end_training()
        model = None if self.parallel.sharded else self.parallel.model
        return export(self.context, self.state, model=model)

    def _announce(self) -> None:
        model, accelerator = self.parallel.model, self.parallel.accelerator
        event(
            "training",
            rows=len(self.plan.lengths),
            steps=self.plan.total,
            batch_size=self.settings.train.batch_size,
            device=str(accelerator.device),
            precision=accelerator.mixed_precision,
            world=self.world.size,
            from_step=self.state.step,
            parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        )

    # -- a step ----------------------------------------------------------------------------------

    def _step(self) -> tuple[bool, bool]:
        """Run the next step; returns whether a rank was told to stop, and whether a pause is due."""
        done = self.state.step + 1
        # reading a loss makes a GPU wait for it
        every = 1 if self.parallel.device.type == "cpu" else 10
        with self.watchdog.watching(f"step {done}"):
            self.throughput.start()
            rows = self.stepper.step(self.state.step)
            stop, due = self.world.any(self.stop.raised, self._pause_due(done))
            if due or stop or done % every == 0:
                self._measure()
            self.throughput.stop(rows)
        self.state = replace(self.state, step=done)
        return stop, due

    def _measure(self) -> None:
        """Take over the figures of the steps since the last call."""
        for line in self.stepper.measured():
            number = int(line["step"])
            line["learning_rate"] = self.plan.learning_rate(number - 1)
            line["epoch"] = number / self.plan.per_epoch
            line["rows_per_second"] = self.throughput.rows_per_second
            self.history.add(line)
            self.state = replace(self.state, loss_sum=self.state.loss_sum + line["loss"])
            self._latest = line

    def _pause_due(self, done: int) -> bool:
        """Whether anything but stepping is to be done after `done` steps, as far as this rank knows:
        what depends on time is for the first rank's clock."""
        return (
            done == self.plan.total
            or self.evaluator.due(self.state, done)
            or self.checkpointer.due(done)
            or (self.world.first and self._out_of_time())
        )

    def _out_of_time(self) -> bool:
        limit = self.settings.train.max_runtime
        return limit is not None and self.throughput.seconds >= limit

    # -- between steps ---------------------------------------------------------------------------

    def _pause(self) -> None:
        """Evaluate if it is time, decide whether this is the end, and take a checkpoint."""
        done = self.state.step
        ended = done == self.plan.total or bool(self.world.agreed(self._out_of_time()))
        if self.evaluator.due(self.state, done) or (ended and self.evaluator.has_rows):
            try:
                self.state = self.evaluator.evaluate(self.state)
            except Stopped:
                self._end_early()
        ended = self.evaluator.out_of_patience(self.state) or ended
        self.state = replace(self.state, finished=ended)
        self._save()

    def _save(self) -> None:
        """Take a checkpoint of the state as it is now."""
        self._measure()  # nothing is committed before its loss was seen
        self.state = replace(
            self.state,
            seconds=self.throughput.seconds,
            rows=self.throughput.rows,
            scaler=self.parallel.scaler_state,
            made_with=self.checkpointer.made_with(self.state),
        )
        self.checkpointer.save(self.state)

    def _end_early(self) -> NoReturn:
        """Commit a checkpoint if there is time for one, and stop."""
        if self.checkpointer.fits(self.stop.seconds_left):
            try:
                if self.checkpointer.saved_step != self.state.step:
                    self._save()
                self.checkpointer.saver.wait()
                # a rank that left earlier would end the uploads of the others with its world
                self.world.stop_together()
            except (StoreError, PeerLost) as error:
                warn("no checkpoint of the last steps could be committed", reason=str(error))
        raise Stopped(f"stopped by a signal at step {self.state.step} of {self.plan.total}")


def _parallel_model(context: TrainContext) -> ParallelModel:
    """The model on its device, once all ranks have joined the world."""
    settings, world = context.settings, context.world
    if has_gpu(settings.runtime):
        check_gpu()
    precision = precision_of(settings.train.precision, settings.runtime)
    model = initial_model(context)
    world.join()
    return ParallelModel(model, precision, settings, world)
