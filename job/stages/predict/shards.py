"""The files of predictions: which there will be, which are this pod's, which are still missing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa

from job.errors import Conflict
from job.settings import Predict
from job.store import Store, layout
from job.store.commit import File, Manifest, seal
from job.telemetry import event


class Shards:
    """The files that all rows' predictions go to, in order; pod i of n writes every n-th of them."""

    def __init__(self, store: Store, key: str, settings: Predict, rows: int) -> None:
        """
        Args:
            key: the prefix of the files.
            rows: how many there are in all.
        """
        self._store, self._key, self._total = store, key, rows
        self._settings, self.size = settings, settings.shard_rows
        count = -(-rows // self.size)
        self.names = [f"part-{n:05d}-of-{count:05d}.{self._settings.format}" for n in range(count)]
        """Of all files, by number."""

    def rows(self, number: int) -> int:
        """How many rows a file holds."""
        return min(self.size, self._total - number * self.size)

    def missing(self) -> list[int]:
        """The numbers of the files that this pod has still to write."""
        pod = self._settings.pod
        index = int(os.environ.get("JOB_COMPLETION_INDEX") or 0) if pod is None else pod
        written = self._written()
        own = range(index % self._settings.pods, len(self.names), self._settings.pods)
        missing = [number for number in own if self.names[number] not in written]
        event("files of predictions", all=len(self.names), there=len(written), to_do=len(missing))
        return missing

    def _written(self) -> set[str]:
        """The names of the files that are in the store, whichever pod wrote them."""
        prefix = f"{self._key}/"
        return {o.key.removeprefix(prefix) for o in self._store.list(prefix)} & set(self.names)

    def write(self, number: int, table: pa.Table, *, again: bool = False) -> None:
        """Write a file by one put: it appears whole, or not at all.

        Args:
            again: in place of what is there, which is damaged.
        """
        with suppress(Conflict):  # another process that runs as this pod has written it
            data = _serialized(table, self._settings.format)
            self._store.put(f"{self._key}/{self.names[number]}", data, if_absent=not again)

    def torn(self) -> list[int]:
        """The numbers of the files that do not hold all their rows, once no pod's file is missing: a
        store cut them short, and the pod that would have noticed was killed."""
        if len(self._written()) < len(self.names):
            return []
        return [n for n, name in enumerate(self.names) if self._file(name, self.rows(n)) is None]

    def finish(self, meta: Mapping[str, Any]) -> bool:
        """Write the manifest if every pod's file is there, and whole; returns whether that is so."""
        if len(self._written()) < len(self.names):
            return False
        files = {name: self._file(name, self.rows(n)) for n, name in enumerate(self.names)}
        files[layout.QUARANTINE] = self._file(layout.QUARANTINE)
        whole = {name: file for name, file in files.items() if file is not None}
        if whole.keys() != files.keys():
            return False
        with suppress(Conflict):
            meta = {**meta, "rows": self._total}
            seal(self._store, self._key, Manifest(whole, meta, secrets.token_hex(16)))
            event("predictions are complete", files=len(self.names), rows=self._total)
        return True

    def _file(self, name: str, rows: int | None = None) -> File | None:
        """A file as the manifest names it; None where it does not hold so many rows."""
        data = self._store.get(f"{self._key}/{name}")
        if rows is not None and _rows_in(data, self._settings.format) != rows:
            return None
        return File(name, len(data), hashlib.sha256(data).hexdigest())


def _rows_in(data: bytes, kind: str) -> int | None:
    """How many rows a file holds; None where it cannot be read."""
    if kind == "parquet":
        import pyarrow.parquet as pq

        try:
            return int(pq.read_table(pa.BufferReader(data)).num_rows)
        except (pa.ArrowException, OSError):
            return None
    return data.count(b"\n") if data.endswith(b"\n") else None


def _serialized(table: pa.Table, kind: str) -> bytes:
    if kind == "parquet":
        import pyarrow.parquet as pq

        sink = io.BytesIO()
        pq.write_table(table, sink)
        return sink.getvalue()
    lines = (json.dumps(row, ensure_ascii=False) for row in table.to_pylist())
    return "".join(line + "\n" for line in lines).encode()
