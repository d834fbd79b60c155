"""The files of predictions: which there will be, which are this pod's, which are there."""

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
from job.store import Store
from job.store.commit import File, Manifest, seal
from job.telemetry import event


class Parts:
    """The files that there will be, and this pod's part of them."""

    def __init__(self, store: Store, key: str, settings: Predict, rows: int) -> None:
        self._store, self._key, self._total = store, key, rows
        self._settings, self.size = settings, settings.shard_rows
        count = -(-rows // self.size)
        self.names = [f"part-{n:05d}-of-{count:05d}.{self._settings.format}" for n in range(count)]

    def name(self, number: int) -> str:
        """A file's name."""
        return self.names[number]

    def rows(self, number: int) -> int:
        """Rows in a file."""
        return min(self.size, self._total - number * self.size)

    def todo(self) -> list[int]:
        """The files of this pod's that are missing."""
        pod = self._settings.pod
        index = int(os.environ.get("JOB_COMPLETION_INDEX") or 0) if pod is None else pod
        there = self._there()
        mine = range(index % self._settings.pods, len(self.names), self._settings.pods)
        found = [number for number in mine if self.names[number] not in there]
        event("files of predictions", all=len(self.names), there=len(there), to_do=len(found))
        return found

    def _there(self) -> set[str]:
        below = f"{self._key}/"
        return {o.key.removeprefix(below) for o in self._store.list(below)} & set(self.names)

    def write(self, number: int, table: pa.Table) -> None:
        """One conditional write: the file is there whole, or not at all."""
        with suppress(Conflict):  # a pod that took this one for dead has made it
            data = _bytes(table, self._settings.format)
            self._store.put(f"{self._key}/{self.names[number]}", data, if_absent=True)

    def finish(self, meta: Mapping[str, Any]) -> bool:
        """Write the manifest if every file is there; whether that is so."""
        if len(self._there()) < len(self.names):
            return False
        with suppress(Conflict):
            files = {name: self._file(name) for name in (*self.names, "quarantine.jsonl")}
            meta = {**meta, "rows": self._total}
            seal(self._store, self._key, Manifest(files, meta, secrets.token_hex(16)))
            event("predictions are complete", files=len(self.names), rows=self._total)
        return True

    def _file(self, name: str) -> File:
        data = self._store.get(f"{self._key}/{name}")
        return File(name, len(data), hashlib.sha256(data).hexdigest())


def _bytes(table: pa.Table, kind: str) -> bytes:
    if kind == "parquet":
        import pyarrow.parquet as pq

        sink = io.BytesIO()
        pq.write_table(table, sink)
        return sink.getvalue()
    lines = (json.dumps(row, ensure_ascii=False) for row in table.to_pylist())
    return "".join(line + "\n" for line in lines).encode()
