"""The published versions of a model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from job.store import Store, layout
from job.store.commit import MANIFEST


@dataclass(frozen=True)
class Version:
    """A published model."""

    name: str
    """`{run_id}-a{attempt}`."""
    key: str
    """Its prefix below the store's root."""

    @classmethod
    def of(cls, model: str, run_id: str, attempt: int) -> Version:
        """The version that an attempt publishes; two attempts never write the same one."""
        name = f"{run_id}-a{attempt}"
        return cls(name, layout.version(model, name))


def find(store: Store, model: str, run_id: str) -> Version | None:
    """The version that an earlier attempt at the run published before it was killed, if any."""
    for item in store.list(layout.version(model, f"{run_id}-a")):
        match = re.search(rf"/({re.escape(run_id)}-a\d+)/{MANIFEST}$", item.key)
        if match:
            return Version(match[1], item.key.removesuffix(f"/{MANIFEST}"))
    return None
