"""Looks over the job's shoulder, at what its store truly holds: no whole artifact is damaged or removed."""

from __future__ import annotations

import threading
from urllib.parse import unquote

from job.checkpoint import catalog
from job.errors import Absent, StoreError, Torn
from job.store import Store, layout
from job.store.commit import MANIFEST, load, verify


class Guard:
    """Sees every write and removal before it is done; `wrongs` says which should not have been.

    Args:
        store: the true one, not the one that the job is given.
        bucket: its name, which the keys in requests' paths begin with.
        keep: how many checkpoints are to stay besides the best.
    """

    def __init__(self, store: Store, bucket: str, keep: int) -> None:
        self._store, self._bucket, self._keep = store, bucket, keep
        self._before: dict[tuple[int, str], bool] = {}
        self.wrongs: list[str] = []
        self.removed = 0
        """Whole checkpoints that were removed by the rule."""

    def wrote(self, when: str, method: str, path: str) -> None:
        """For `FaultyProxy.watch`: a write must leave what was whole as it was."""
        key = unquote(path).removeprefix(f"/{self._bucket}/")
        if method != "PUT" or (prefix := self._artifact(key)) is None:
            return
        who = (threading.get_ident(), key)
        if when == "before":
            self._before[who] = self._is_whole(prefix)
        elif self._before.pop(who, False) and not self._is_whole(prefix):
            self.wrongs.append(f"{prefix} was whole before {key} was written")

    def removing(self, keys: list[str]) -> None:
        """For `FaultyProxy.removing`: only checkpoints are removed, by their rule."""
        prefixes = {self._artifact(unquote(key)) for key in keys} - {None}
        for prefix in sorted(filter(None, prefixes)):
            if not self._is_whole(prefix):
                continue
            step = layout.step_of(f"/{prefix.rpartition('/')[2]}/{MANIFEST}")
            if step is None or not self._may_go(prefix.rpartition("/")[0], step):
                self.wrongs.append(f"{prefix} was whole and is removed")
            self.removed += 1

    def _may_go(self, checkpoints: str, step: int) -> bool:
        """So many whole ones are newer, and it is not the best, as the newest of them knows it."""
        newer = [n for n in catalog.steps(self._store, checkpoints) if n > step]
        newer = [n for n in newer if self._is_whole(layout.checkpoint(checkpoints, n))]
        if len(newer) < self._keep:
            return False
        return bool(load(self._store, layout.checkpoint(checkpoints, newer[-1])).meta["best_step"] != step)  # fmt: skip

    def _artifact(self, key: str) -> str | None:
        """The prefix of the artifact that a key lies in; None where no manifest stands above it."""
        parts = key.split("/")
        for length in range(len(parts) - 1, 1, -1):
            prefix = "/".join(parts[:length])
            try:
                self._store.stat(f"{prefix}/{MANIFEST}")
                return prefix
            except Absent:
                continue
        return None

    def _is_whole(self, prefix: str) -> bool:
        try:
            verify(self._store, prefix, deep=True)
        except (Torn, Absent):
            return False
        except StoreError as error:
            raise AssertionError(f"the true store does not answer: {error}") from error
        return True
