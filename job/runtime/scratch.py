"""The folder for what is not kept, and the caches of libraries that insist on one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from job.errors import DiskFull, SettingsError, from_os_error
from job.settings import Runtime


@contextmanager
def scratch_folder(runtime: Runtime) -> Iterator[Path]:
    """A folder of this process's own, removed at the end.

    Libraries that insist on a cache get one below it, so that a read-only root file system is enough.
    The Hub's models stay in the user's own cache, beside the token, where that can be written to.

    Raises:
        SettingsError: it cannot be created.
        DiskFull: there is no space for it.
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
    """Whether huggingface_hub's own folder can be written to, or created."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - Path.expanduser raises for a user id without a home
    folder = Path(base, "huggingface").absolute()
    nearest = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    return os.access(nearest, os.W_OK | os.X_OK)
