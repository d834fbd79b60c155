"""The first stage: data files to rows of strings; what cannot be read is set aside.

`resolve_inputs` finds the files and what identifies them; `fetch` reads exactly those. A file is
streamed, whatever its size: decompressed, decoded and parsed a chunk at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TextIO

from job.data.artifacts import SPLITS, Input, Inputs, RawRows, Split
from job.runtime.stop import poll
from job.settings import Data
from job.stages.fetch.files import AHEAD, local_copies, resolve_inputs
from job.stages.fetch.formats import Member, members
from job.stages.fetch.parallel_text import parallel
from job.stages.fetch.parts import Parts

__all__ = ["fetch", "resolve_inputs"]


def fetch(
    data: Data,
    inputs: Inputs,
    scratch: Path,
    *,
    limit: int | None = None,
) -> RawRows:
    """Read every file of `inputs` into Arrow streams below `scratch`.

    With `limit`, reading ends after so many rows of each split, and a file is downloaded only if
    those before it have too few rows.

    A row's LINE is the line it starts on; in JSON documents, parquet, arrow and pickle files it is
    the number of the row.

    Raises:
        InputMissing: a file is gone, or has changed since its identity was taken.
        DataError: a file is damaged or of an unknown format, or its header cannot be used.
        SettingsError: an unknown encoding, or a pickle that is not allowed.
        Forbidden, Unreachable, StoreError: the store's.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    quarantine = scratch / "quarantine.jsonl"
    run = _Run(data, inputs, scratch, ahead=1 if limit else AHEAD)
    with quarantine.open("w", encoding="utf-8") as bad:
        splits = {split: run.read(split, bad, limit) for split in SPLITS if run.has(split)}
    return RawRows(
        tables={split: tuple(parts.paths) for split, parts in splits.items()},
        files=tuple(run.files),
        weights=tuple(run.weights),
        quarantine=quarantine,
        read={split: parts.read for split, parts in splits.items()},
        bad={split: parts.bad for split, parts in splits.items()},
    )


class _Run:
    """Reads one split after the other and numbers the files and archive members that it meets."""

    def __init__(self, data: Data, inputs: Inputs, scratch: Path, *, ahead: int) -> None:
        self.files: list[str] = []
        self.weights: list[float] = []
        self._ahead = ahead
        self._data, self._inputs, self._scratch = data, inputs, scratch

    def has(self, split: Split) -> bool:
        return any(file.split == split for file in self._inputs.files)

    def read(self, split: Split, quarantine: TextIO, limit: int | None) -> Parts:
        parts = Parts(self._scratch / "raw", split, quarantine, self._data, limit=limit)
        files = [file for file in self._inputs.files if file.split == split]
        with closing(parts):
            for file, content in self._files(files):
                poll()
                self._file(content, file.weight, parts)
                if parts.full:
                    break
        return parts

    def _files(self, files: list[Input]) -> Iterator[tuple[Input, Iterator[Member]]]:
        """Each file, or each file of sources with its targets, and what is in it."""
        data, scratch = self._data, self._scratch
        sources = [file for file in files if not file.target]
        targets = [file for file in files if file.target]
        copies = local_copies(data, sources, scratch, ahead=self._ahead)
        if not targets:
            for file, path in copies:
                yield file, members(path, file.uri, data, scratch)
            return
        (scratch / "targets").mkdir(exist_ok=True)  # both files of a pair are kept at a time
        others = local_copies(data, targets, scratch / "targets", ahead=self._ahead)
        for (file, path), (target, other) in zip(copies, others, strict=True):
            names = file.uri, target.uri
            yield file, parallel(path, other, names, data, scratch)

    def _file(self, content: Iterator[Member], weight: float, parts: Parts) -> None:
        for member in content:
            parts.begin(len(self.files), member.name, member.size)
            self.files.append(member.name)
            self.weights.append(weight)
            for chunk in member.chunks:
                poll()
                parts.add(chunk)
                if parts.full:
                    return
