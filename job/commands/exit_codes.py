"""What an error is to the user: one line, and the exit code of the design's table."""

from __future__ import annotations

import traceback

from job.commands.printing import complain
from job.distributed.lost_peer import is_lost_peer
from job.errors import (
    DiskFull,
    JobError,
    OutOfMemory,
    PeerLost,
    StoreUnreachable,
    Unreachable,
    from_os_error,
)
from job.runtime.device import is_out_of_memory
from job.text import one_line


def known(error: BaseException) -> JobError | None:
    """The error, or the one it was raised from, as one of ours; None where it is a bug."""
    if isinstance(error, JobError):
        return error
    if isinstance(error, OSError) and (named := from_os_error(error)):
        return named
    if is_lost_peer(error):
        return PeerLost(one_line(error))
    if is_out_of_memory(error):
        return OutOfMemory(f"out of memory ({one_line(error)})")
    if "No space left on device" in str(error):  # safetensors and tokenizers say it in words only
        return DiskFull("the scratch folder: no space left on the disk")
    return known(error.__cause__) if error.__cause__ else None


def bug(error: Exception) -> JobError:
    """An error that nobody has thought of, as one of ours."""
    return JobError(f"{type(error).__name__}: {error}")


def explained(error: Exception) -> int:
    """Say on stderr what a command without a worker ended with; returns the exit code."""
    named = known(error)
    if named is None:
        complain("".join(traceback.format_exception(error)))
        named = bug(error)
    if isinstance(named, Unreachable):
        named = StoreUnreachable.of(named)  # these commands record no attempt
    complain(f"finetune: {named}")
    return named.exit_code
