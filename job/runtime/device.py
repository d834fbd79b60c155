"""The process a stage runs in: the stop signal, the device, the seeds, the scratch folder."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from job.errors import BrokenDevice, DiskFull, PeerLost, SettingsError, Stopped, from_os_error
from job.settings import Runtime
from job.telemetry import log

if TYPE_CHECKING:
    from accelerate import Accelerator


class StopSignal:
    """SIGTERM and SIGINT as a flag that every stage polls between two pieces of work."""

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self._since: float | None = None

    def install(self) -> None:
        """Take over SIGTERM and SIGINT; a second one ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._since is not None:
            os._exit(Stopped.exit_code)
        self._since = time.monotonic()

    @property
    def raised(self) -> bool:
        """Whether the run was told to stop."""
        return self._since is not None

    @property
    def seconds_left(self) -> float:
        """What is left of the grace period; infinite before the signal."""
        if self._since is None:
            return float("inf")
        return self.grace_seconds - (time.monotonic() - self._since)

    def poll(self) -> None:
        """Raises:
        Stopped: the run was told to stop.
        """
        if self.raised:
            raise Stopped("stopped by a signal")


def die_with_parent() -> None:
    """Linux ends this process when its supervisor is killed: nobody else would."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Watchdog:
    """Ends the process where a piece of work stands still, with the stacks of all threads in the log:
    a step that waits for ever would hold its GPU for ever."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._doing, self._until = "", float("inf")
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def watching(self, doing: str) -> Iterator[None]:
        """Expect this to be done within `seconds`."""
        self._doing, self._until = doing, time.monotonic() + self.seconds
        try:
            yield
        finally:
            self._until = float("inf")

    def beat(self) -> None:
        """What is watched goes on, and has its whole time again."""
        if self._until < float("inf"):
            self._until = time.monotonic() + self.seconds

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self.seconds / 4))
            if time.monotonic() > self._until:
                log.error(
                    f"{self._doing} stands still since {self.seconds:g} s; the stacks of all threads follow"
                )
                faulthandler.dump_traceback(all_threads=True)
                os._exit(PeerLost.exit_code)


@contextmanager
def scratch_folder(runtime: Runtime) -> Iterator[Path]:
    """A folder of this process's own for what is not kept, removed at the end.

    Libraries that insist on a cache get one below it, so that a read-only root file system is enough.
    The Hub's models stay in the user's own cache, beside the token, where that can be written to.
    """
    base = Path(runtime.scratch or tempfile.gettempdir())
    try:
        base.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="finetune-", dir=base))
    except OSError as error:
        if isinstance(known := from_os_error(error), DiskFull):
            raise known from None
        raise SettingsError(
            f"the scratch folder {base} cannot be written to ({error.strerror})",
            hint="point FINETUNE_RUNTIME__SCRATCH at a writable folder",
        ) from None
    for name in ("HF_METRICS_CACHE", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"):
        os.environ.setdefault(name, str(folder / "cache"))
    if not _can_cache():
        os.environ.setdefault("HF_HOME", str(folder / "cache"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _can_cache() -> bool:
    """Whether huggingface_hub's own folder can be written to, or made."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - as the Hub's own, it fails for no user
    folder = Path(base, "huggingface").absolute()
    there = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    return os.access(there, os.W_OK | os.X_OK)


def has_gpu(runtime: Runtime) -> bool:
    """Whether training will use a GPU."""
    if runtime.device == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


def check_gpu() -> None:
    """Compute something whose result is known, and time nothing.

    Raises:
        BrokenDevice: the GPU does not answer, or answers wrongly.
    """
    import torch

    if not torch.cuda.is_available():
        return
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    try:
        # small whole numbers: every product and sum is exact in any order and precision
        one = torch.arange(1024 * 1024, device=device).reshape(1024, 1024) % 3
        found = (one.float() @ one.float().T).double().sum().item()
        wanted = (one.sum(dim=0).double() ** 2).sum().item()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise BrokenDevice(f"{device} on node {node_name()} does not work ({reason})") from error
    if found != wanted:
        raise BrokenDevice(f"{device} on node {node_name()} computes wrongly")


def node_name() -> str:
    """The node's name where the pod was told it, else the host's."""
    return os.environ.get("NODE_NAME") or socket.gethostname()


def precision_of(wanted: str, runtime: Runtime) -> str:
    """`auto` resolved: bf16 on a GPU that computes in it, else no.

    Raises:
        SettingsError: fp16 without a GPU, which accelerate would silently run in float32.
    """
    gpu = has_gpu(runtime)
    if wanted == "fp16" and not gpu:
        raise SettingsError(
            "FINETUNE_TRAIN__PRECISION=fp16 needs a GPU and there is none",
            hint="use bf16 or no",
        )
    if wanted == "auto":
        import torch

        return "bf16" if gpu and torch.cuda.is_bf16_supported() else "no"
    return wanted


def accelerator(precision: str, runtime: Runtime) -> Accelerator:
    """Accelerate's handle on the device and the processes that train together."""
    from accelerate import Accelerator

    # told nothing, accelerate takes several processes without a GPU for as many runs of one
    return Accelerator(mixed_precision=precision, cpu=not has_gpu(runtime))


def seed_everything(*numbers: int) -> None:
    """Seed torch from several numbers at once, such as (seed, step, rank, micro-batch)."""
    import numpy as np
    import torch

    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))
