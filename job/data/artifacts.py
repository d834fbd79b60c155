"""What one stage hands to the next: frozen values that say where something is and what it is."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

from job.errors import DataError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

FILE, LINE, ROW = "__file", "__line", "__row"
"""Columns that say where a row came from: the file, the line, the row of the cleaned split."""
KEY, GROUP = "__key", "__group"
"""Columns that say what a row of a data set is: its text's key, and that of `split_by`'s value or null."""
GIVEN = "__given"
"""The column of the gate's rows that says whether a row was given for the test or held out for it."""
SLICE = "slice "
"""Begins the name of a column that EVALUATE__SLICES names; no role begins with it."""

KEYS, GATE = "keys.arrow", "gate.arrow"
"""Of a data set: what identifies its rows (KEY, GROUP, `split` as its place in SPLITS), those of train
and then of validation as they are written; and its test rows in the form of a part of the gate."""
LEARNED = "learned.arrow"
"""Of a data set that goes on from a champion, and of the version that is made from it: the KEYs of the
texts that this champion has been trained on."""
READ = "read.arrow"
"""The name of `CleanRows.read`."""


def canonical_json(value: Any) -> bytes:
    """One byte string for equal values, whatever the order of their keys."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    ).encode()


def fingerprint(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of `value` as canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:16]


def open_regular(path: Path) -> BufferedReader:
    """A file, opened to be read; to open a pipe could take for ever, and a device may have no end.

    Raises:
        DataError: it is a pipe, a socket or a device.
        OSError: as the operating system does.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise irregular(path) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise irregular(path)


def irregular(path: Path) -> DataError:
    """Why something among the files is not read."""
    return DataError(
        f"{path}: a pipe, a socket or a device, not a file",
        hint="remove it from the folder, or name the files that are wanted",
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex, read in pieces.

    Raises:
        DataError, OSError: as `open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Input:
    """One data file as it was found: where, how large, what identifies its content, how it counts."""

    split: Split
    uri: str
    size: int
    identity: str
    weight: float = 1.0
    target: bool = False
    """Whether it holds the targets to another file of the split; these follow the split's files in
    the same order."""


@dataclass(frozen=True)
class Inputs:
    """What a run reads, frozen by its first attempt."""

    files: tuple[Input, ...]

    def identities(self) -> list[list[Any]]:
        """What decides whether the data is the same: everything but where it lies on this disk."""
        return [
            [i.split, i.uri, i.size, i.identity, i.weight, *(["target"] if i.target else [])]
            for i in self.files
        ]


@dataclass(frozen=True)
class Frozen:
    """What inputs.json holds: all that later attempts, or other pods, must read just so."""

    files: tuple[Input, ...]
    """Their URIs carry no secrets."""
    model: Mapping[str, str]
    gate: tuple[str, ...] = ()
    """The parts of the gate that were in force when the run began, oldest first."""
    champion: str | None = None
    """The version that was in use when the run began."""

    @property
    def inputs(self) -> Inputs:
        """The files, as a run's inputs."""
        return Inputs(self.files)

    def json(self) -> bytes:
        """As the store holds it."""
        return canonical_json(asdict(self))


@dataclass(frozen=True)
class RawRows:
    """Fetched rows: Arrow streams, one or more a file, since a file's columns may grow as it is read.

    Every column is a nullable string; a value that is not text is there as JSON. The columns
    FILE (int32, index into `files`) and LINE (int64, from 1) say where a row came from.
    """

    tables: Mapping[Split, tuple[Path, ...]]
    files: tuple[str, ...]
    """URIs without secrets, with the archive member behind a `!` where there is one."""
    weights: tuple[float, ...]
    """How often the rows of each file count, in the order of `files`."""
    quarantine: Path
    """JSON lines: split, file, line, reason, row."""
    read: Mapping[Split, int]
    """Rows that were read, the bad ones included."""
    bad: Mapping[Split, int]


@dataclass(frozen=True)
class CleanRows:
    """Cleaned rows: one Arrow stream a split, its columns the task's roles (nullable strings, as in
    RawRows), FILE and LINE; SLICE columns where rows are held out; KEY and GROUP beside training rows."""

    tables: Mapping[Split, Path]
    """Only the splits that have rows."""
    files: tuple[str, ...]
    """What FILE counts, as in RawRows."""
    rows: Mapping[Split, int]
    quarantine: Path
    profile: Mapping[str, Any]
    """What profile.json holds: rows in and out by reason, label counts, lengths, duplicates."""
    gate: Path | None = None
    """The test rows in the form of a part of the gate, which is: KEY (uint64), GROUP (uint64 or null),
    GIVEN (bool), the roles before their text was cleaned, SLICE columns. None without training rows."""
    read: Path | None = None
    """KEY and FILE of every row that was given to be trained on or validated with, as they were read,
    before any was dropped for another one. None without training rows."""


@dataclass(frozen=True)
class Dataset:
    """Encoded rows in the store, and their copy on this disk."""

    fingerprint: str
    folder: Path
    """train.arrow, validation.arrow …, validation.rows.arrow …, KEYS, GATE, profile.json, quarantine.jsonl."""
    profile: Mapping[str, Any] = field(default_factory=dict)
    fetched: bool = False
    """Whether the store already held it."""

    def table(self, split: Split) -> Path:
        """The encoded rows of a split; the file may not exist."""
        return self.folder / f"{split}.arrow"

    def rows(self, split: Split) -> Path:
        """The cleaned rows of a held-out split, as text."""
        return self.folder / f"{split}.rows.arrow"
