"""Every way a run can end badly.

    JobError                      70  a bug, if nothing below fits
    ├── SettingsError             78  the settings are wrong
    ├── DataError                 65  the data is wrong
    ├── InputMissing              66  an input does not exist
    ├── StoreError                75  the store answered with an error, retries used up
    │   ├── Absent                66  no such key or bucket
    │   ├── Forbidden             77  the credentials do not allow it
    │   ├── Unreachable           75  no answer
    │   ├── BadName               65  a key that does not stay in its folder
    │   ├── Conflict              75  somebody else wrote first
    │   ├── Garbled               75  other bytes arrive than the store holds
    │   └── Torn                  75  an artifact's files are not what its manifest says
    ├── ClusterError          75  the cluster's API server answered with an error, or not at all
    │   └── ClusterForbidden  77  the service account may not do that
    ├── NotDelivered          75  a webhook did not take what it was told
    ├── RunFailed             82  a run that was launched failed, or its own code where no retry helps
    ├── NotReproduced         65  a version that was trained again has other weights
    ├── StoreUnreachable          69  unreachable before the attempt could be recorded
    ├── DiskFull                  75  the scratch disk or the output folder is full
    ├── Diverged                  80  the loss is not finite
    ├── OutOfMemory               81  out of memory at the smallest micro-batch
    ├── BrokenDevice              75  a GPU that fails its check
    ├── PeerLost                  75  another process of this world is gone
    ├── NoProgress                82  no progress in N attempts
    └── Stopped                  143  SIGTERM, agreed at a step boundary

The message says what is wrong and where; the hint says what to do. Both are shown to the user on
one line, without a traceback. Exit codes up to 78 have the meaning that sysexits.h gives them.
"""

from __future__ import annotations

import errno
from pathlib import Path

from job.redaction import redact

PERMANENT = (65, 66, 77, 78, 80, 81, 82)
"""Exit codes after which starting again would end the same way."""


class JobError(Exception):
    """A run's end that is explained: `exit_code` for the Job, `hint` for the reader.

    What a library says is quoted as it is, so what is secret is hidden here.
    """

    exit_code = 70
    hint = "this is a bug; please report it with the log"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(redact(message))
        if hint is not None:
            self.hint = redact(hint)

    @property
    def message(self) -> str:
        """What is wrong and where, without the hint."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class SettingsError(JobError):
    """The settings contradict each other, the model, or the store."""

    exit_code = 78
    hint = "`finetune config` shows every setting and where it came from"


class DataError(JobError):
    """The rows cannot be trained on."""

    exit_code = 65
    hint = "`finetune check` reads the first rows and says what it finds"
    kept: Path | None = None
    """A file of the rows in question, which is worth keeping."""


class InputMissing(JobError):
    """A data file, model or revision that the settings name does not exist."""

    exit_code = 66
    hint = "check the name for a typing mistake, and that it was uploaded"


class StoreError(JobError):
    """The object store answered with an error and retrying did not help."""

    exit_code = 75
    hint = "started again, the run resumes where it left off"


class Absent(StoreError):
    """There is no such key or bucket."""

    exit_code = 66
    hint = "check the name for a typing mistake, and that it was uploaded"


class Forbidden(StoreError):
    """The store knows who asks and says no, or does not know who asks."""

    exit_code = 77
    hint = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what they may read and write"


class Unreachable(StoreError):
    """The store did not answer."""

    hint = "check AWS_ENDPOINT_URL and the network; the run resumes when started again"

    def __init__(self, message: str, *, hint: str | None = None, passing: bool = True) -> None:
        """
        Args:
            passing: whether it may answer if it is asked again soon.
        """
        super().__init__(message, hint=hint)
        self.passing = passing


class BadName(StoreError):
    """A key, or the name of a member or of a file, that does not stay in its folder."""

    exit_code = 65
    hint = "names are relative paths with / between their parts, without . and .."


class Conflict(StoreError):
    """A conditional write met an object that somebody else had written."""

    hint = "another pod writes to the same run; only one of them may"


class Torn(StoreError):
    """An artifact whose manifest is unreadable, or whose files are missing or differ from it."""

    hint = "it was cut short or has changed since; remove it, and it is created again when it is needed"


class Garbled(StoreError):
    """A file of an artifact arrives damaged, though the store describes it as it was when it was whole.

    Unlike Torn it says nothing about the artifact, so nothing is made in its place.
    """

    hint = "check what lies between this pod and the store; the run resumes when started again"


class ClusterError(JobError):
    """The cluster's API server did not do what it was asked, and retrying did not help."""

    exit_code = 75
    hint = "the run itself is not affected; start this command again to follow it"


class ClusterForbidden(ClusterError):
    """The API server says no."""

    exit_code = 77
    hint = "check the Role and RoleBinding of this pod's service account"


class NotDelivered(JobError):
    """A webhook did not take what it was told, and telling it again did not help."""

    exit_code = 75
    hint = "check FINETUNE_PUBLISH__WEBHOOK and the network; it is told again by the next run, launcher or move"

    def __init__(self, message: str, *, passing: bool) -> None:
        """
        Args:
            passing: whether it may take it if it is told again soon.
        """
        super().__init__(message)
        self.passing = passing


class RunFailed(JobError):
    """A run that this process launched and followed has failed."""

    exit_code = 82
    hint = "read the log of its pods, and `finetune status`"

    def __init__(self, message: str, *, code: int | None = None, deleted: bool = False) -> None:
        """
        Args:
            code: the run's own exit code.
            deleted: whether somebody deleted it, so that the run may go on later.
        """
        super().__init__(message)
        self.deleted = deleted
        if code in PERMANENT:
            self.exit_code = code


class NotReproduced(JobError):
    """A version was trained again from what its manifest names, and its weights are not the same.

    What the manifest says is then not all that they depend on, or not so here. To do it again gives the
    same again: a code that no Job retries.
    """

    exit_code = 65
    hint = "train it where the same image, processor, threads and number of processes are to be had"


class StoreUnreachable(JobError):
    """The store did not answer before this attempt was recorded, so it does not count."""

    exit_code = 69
    hint = "check AWS_ENDPOINT_URL and the network"

    @classmethod
    def of(cls, error: Unreachable) -> StoreUnreachable:
        """The same, before the attempt was recorded."""
        return cls(error.message, hint=error.hint)


class DiskFull(JobError):
    """No space left on the scratch disk, or in the folder that serves as the store."""

    exit_code = 75
    hint = "free some space there, or point FINETUNE_RUNTIME__SCRATCH or FINETUNE_OUTPUT at a larger disk"


class Diverged(JobError):
    """The loss or the gradient norm is not a finite number."""

    exit_code = 80
    hint = "lower FINETUNE_TRAIN__LEARNING_RATE, or use bf16 in place of fp16"


class OutOfMemory(JobError):
    """The smallest micro-batch does not fit the device."""

    exit_code = 81
    hint = (
        "lower FINETUNE_TRAIN__TOKENS_PER_DEVICE or FINETUNE_ENCODE__MAX_LENGTH, or set "
        "FINETUNE_MODEL__GRADIENT_CHECKPOINTING"
    )


class BrokenDevice(JobError):
    """A GPU does not compute what it should."""

    exit_code = 75
    hint = "take the node out of service (kubectl cordon); the run resumes on another"


class PeerLost(JobError):
    """Another process that trains with this one ended, or does not answer."""

    exit_code = 75
    hint = "its own log says why; the run resumes when all are there again"

    def __init__(self, message: str, *, rejoins: bool = True, hint: str | None = None) -> None:
        """
        Args:
            rejoins: whether this pod stays for the next attempt; false where it has waited long
                enough.
        """
        super().__init__(message, hint=hint)
        self.rejoins = rejoins


class NoProgress(JobError):
    """As many attempts as are allowed ended without a new committed step or artifact."""

    exit_code = 82
    hint = "read the log of the last attempts; FINETUNE_RUNTIME__MAX_STALLED_ATTEMPTS=0 lifts the bound"


class Stopped(JobError):
    """The run was told to stop and did so at a step boundary; it resumes when started again."""

    exit_code = 143
    hint = "started again, it resumes where it left off"


def from_os_error(error: OSError, where: str = "the scratch folder") -> JobError | None:
    """Name an operating-system error that a user can do something about; None for the others.

    `where` stands in for the file's name, which an error in writing does not carry.
    """
    # in copying it is the second file that is written to
    place = error.filename2 or error.filename or where
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{place}: no space left on the disk")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Forbidden(
            f"{place}: {error.strerror}",
            hint="check the owner and the mode of the folder, and that it is mounted writable",
        )
    return None
