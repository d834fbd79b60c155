"""A run's record in the store: its settings, what it reads, how far it is, how it ended.

state.json is only ever replaced by compare-and-swap, so two processes that believe they are the
same run cannot both go on: the one that loses gets a Conflict.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from job.data.artifacts import Frozen
from job.errors import Absent, JobError, NoProgress, Torn
from job.registry import versions
from job.runs.settings_record import check_settings
from job.settings import Settings, recorded
from job.store import Store, layout
from job.store.records import read_record, record_of, write_on
from job.telemetry import warn

Stage = Literal["start", "encode", "train", "evaluate", "end"]
STAGES: tuple[Stage, ...] = ("start", "encode", "train", "evaluate", "end")
PUSH = "push_to_hub"


@dataclass(frozen=True)
class State:
    """What state.json holds."""

    run_id: str
    stage: Stage = "start"
    """The furthest of STAGES that any attempt has committed."""
    step: int = 0
    """The last committed training step."""
    attempt: int = 0
    preparations: int = 0
    """How often the run was only prepared, which is no attempt at training."""
    stalled: int = 0
    """Attempts and preparations in a row that ended without progress, the present one included."""
    outcome: str | None = None
    """`done` when the run has ended well; then `result` says what it left."""
    result: Mapping[str, Any] = field(default_factory=dict)
    failure: Mapping[str, Any] = field(default_factory=dict)
    """How the last attempt ended, where it could say so: `error`, `message`, `exit_code`."""
    skips: int = 0
    """How often a launcher found that nothing had changed since this run."""
    began: float = 0.0
    """When the run began, in seconds since 1970; for figures only, never for a decision."""
    ended: float = 0.0
    """When the run ended well, in seconds since 1970; a maximum age is counted from there."""
    dataset: str = ""
    """The fingerprint of the data set that the run reads; empty where it has not asked for it yet."""
    outstanding: Sequence[str] = field(default_factory=list)
    """What the attempt that finished the run could not do after that, such as PUSH."""
    stopped: float = 0.0
    """When the last attempt was stopped by a signal, in seconds since 1970; 0 where it was not."""
    written: float = 0.0
    """When this was written, in seconds since 1970; for people, never for a decision."""
    single_writer: bool = False
    nonce: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Any], where: str) -> State:
        """What state.json holds; fields that only another release knows are left out.

        Args:
            where: its URI, for the error.

        Raises:
            Torn: it is not a run's state.
        """
        return record_of(cls, value, where)

    @property
    def begun(self) -> int:
        """How many processes have recorded themselves; each writes alone until the next does."""
        return self.attempt + self.preparations

    @property
    def position(self) -> str:
        """Where it stands, and goes on from."""
        return f"at step {self.step}" if self.step else f"in stage {self.stage}"


class Run:
    """One run, held by the attempt that recorded itself last."""

    def __init__(
        self, store: Store, prefix: str, settings: Settings, state: State, tag: str
    ) -> None:
        self.store, self.prefix, self.settings = store, prefix, settings
        self.state, self._tag = state, tag
        self._lock = threading.RLock()

    def key(self, name: str) -> str:
        """The key of something of this run's."""
        return f"{self.prefix}/{name}"

    @classmethod
    def open(cls, store: Store, name: str, run_id: str, settings: Settings) -> Run:
        """Find the run or begin it.

        Raises:
            SettingsError: the id belongs to a run with other settings.
            Torn: its state or its settings are damaged, and not by a write that was cut short.
        """
        prefix = layout.run(name, run_id)
        check_settings(store, f"{prefix}/{layout.SETTINGS}", recorded(settings), run_id)
        key = f"{prefix}/{layout.STATE}"
        try:
            state, tag = read_record(store, key, State)
            return cls(store, prefix, settings, state, tag)
        except Absent:
            tag = ""
        except Torn as error:
            tag = _tag_if_cut_short(store, key, run_id, error)
        state = replace(_begun(store, name, run_id), single_writer=settings.store.single_writer)
        run = cls(store, prefix, settings, state, tag)
        run._write(first=not tag)
        return run

    @classmethod
    def follow(cls, store: Store, name: str, run_id: str, settings: Settings, attempt: int) -> Run:
        """The run as ranks other than the first see it: they read, and never write the state."""
        return cls(store, layout.run(name, run_id), settings, State(run_id, attempt=attempt), "")

    @property
    def finished(self) -> bool:
        """Whether the run has ended well, in this attempt or an earlier one."""
        return self.state.outcome is not None

    def overtaken_by(self) -> str | None:
        """What another process has begun since this one did; None where nothing was."""
        stored, _ = read_record(self.store, self.key(layout.STATE), State)
        if stored.begun == self.state.begun:
            return None
        trains = stored.attempt > self.state.attempt
        return f"attempt {stored.attempt}" if trains else "a preparation"

    def begin_attempt(self, bound: int, *, preparing: bool = False) -> None:
        """Record a new attempt, before anything that could kill it is done.

        Args:
            preparing: whether it will not train.

        Raises:
            NoProgress: `bound` attempts in a row have ended without progress (0: no bound).
        """
        if bound and self.state.stalled >= bound:
            raise NoProgress(
                f"run {self.state.run_id}: {self.state.stalled} attempts in a row ended without progress, "
                f"the last in stage {self.state.stage} at step {self.state.step}"
            )
        count = "preparations" if preparing else "attempt"
        begun = {count: getattr(self.state, count) + 1, "stalled": self.state.stalled + 1}
        self._write(**begun, failure={}, stopped=0.0)

    def progressed(self, stage: Stage, step: int = 0) -> None:
        """Record a committed artifact or step. Only what goes beyond all earlier attempts is progress
        and resets the count of stalled attempts: finding a data set again, or training the same steps
        again, is not."""
        with self._lock:
            furthest = (STAGES.index(self.state.stage), self.state.step)
            step = max(step, self.state.step)
            if (STAGES.index(stage), step) > furthest:
                self._write(stage=stage, step=step, stalled=0)

    def uses(self, dataset: str) -> None:
        """Record which data set the run is about to read or to make, so that nobody takes it away."""
        if dataset != self.state.dataset:
            self._write(dataset=dataset)

    def stopped(self) -> None:
        """Record an agreed stop: an attempt that was stopped has not failed."""
        self._write(stalled=0, stopped=time.time())

    def uncounted(self) -> None:
        """Record that this attempt does not count as stalled: it only prepared, and ended well, or it
        waited in vain for a pod."""
        self._write(stalled=max(0, self.state.stalled - 1))

    def finish(
        self, outcome: str, result: Mapping[str, Any], outstanding: Sequence[str] = ()
    ) -> None:
        """Record how the run ended.

        Args:
            outstanding: what is still to be done, and is done by a later start if not by this one.
        """
        self._write(
            outcome=outcome,
            stage="end",
            stalled=0,
            ended=time.time(),
            result=dict(result),
            outstanding=list(outstanding),
        )

    def settled(self, name: str) -> None:
        """Record that something outstanding has been done."""
        self._write(outstanding=[n for n in self.state.outstanding if n != name])

    def failed(self, error: JobError) -> None:
        """Record how an attempt ended, for those who look from outside."""
        said = {"error": type(error).__name__, "message": str(error)[:2000]}
        self._write(failure={**said, "exit_code": error.exit_code})

    def skipped(self) -> None:
        """Record that a launcher found nothing changed since this run."""
        self._write(skips=self.state.skips + 1)

    def shrink(self, tokens: int) -> None:
        """Record that micro-batches of more than so many tokens do not fit; any rank may."""
        self.store.put(layout.token_limit(self.prefix, tokens), b"")

    def fitting(self, tokens: int) -> int:
        """The smallest limit that was recorded, if it is below `tokens`."""
        listed = self.store.list(layout.token_limits(self.prefix))
        limits = (layout.tokens_of(item.key) for item in listed)
        return min([tokens, *(limit for limit in limits if limit is not None)])

    def frozen(self) -> Frozen | None:
        """What the first attempt found to read; None where there is nothing yet."""
        try:
            return read_record(self.store, self.key(layout.INPUTS), Frozen)[0]
        except Absent:
            return None

    def freeze(self, value: Frozen, damaged: Torn | None = None) -> None:
        """Store what all later attempts will read.

        Args:
            damaged: what is wrong with what was stored before.

        Raises:
            Torn: the same; unless it is the beginning of this value, which is written to its end.
        """
        if damaged is not None:
            write_on(self.store, self.key(layout.INPUTS), value.json(), damaged)
        else:
            self.store.put(self.key(layout.INPUTS), value.json(), if_absent=True)

    def _write(self, *, first: bool = False, **changes: Any) -> None:
        """Store the state with these changes; a checkpoint is recorded by a thread of its own."""
        with self._lock:
            changes |= {"written": time.time(), "nonce": uuid.uuid4().hex}
            state = replace(self.state, **changes)
            data = json.dumps(asdict(state), indent=1).encode()
            if first:
                self._tag = self.store.put(self.key(layout.STATE), data, if_absent=True)
            else:
                self._tag = self.store.put(self.key(layout.STATE), data, if_tag=self._tag)
            self.state = state


def _tag_if_cut_short(store: Store, key: str, run_id: str, error: Torn) -> str:
    """The tag of a state that is the beginning of one: the store cut it short, and whoever wrote it was
    killed before it noticed. What it said can be found out again.

    Raises:
        Torn: it is anything else, which somebody should look at.
    """
    data, tag = store.read(key)
    begins = json.dumps({"run_id": run_id}, indent=1).removesuffix("\n}").encode()
    if data.startswith(begins) and not data.rstrip().endswith(b"}"):
        warn("the run's state was cut short by the store", reason=error.message)
        return tag
    raise error


def _begun(store: Store, model: str, run_id: str) -> State:
    """The state of a run that has none: at its beginning, or, where the state was lost, as far as what
    stands in the store shows. An attempt's number is never given twice: keys and versions bear it."""
    prefix = layout.run(model, run_id)
    keys = [item.key for item in store.list(f"{prefix}/")]
    attempts = [layout.attempt_of(key) or 0 for key in keys]
    attempts += [version.attempt for version in versions.of_run(store, model, run_id)]
    steps = [step for key in keys if (step := layout.step_of(key)) is not None]
    state = State(run_id, attempt=max(attempts, default=0), began=time.time())
    if state.attempt:
        warn("the run's state was lost; it goes on from what the store holds", run_id=run_id)
    return replace(state, stage="train", step=max(steps)) if steps else state
