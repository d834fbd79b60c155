"""Find out whether a store keeps its word about conditional writes, before anything relies on it."""

from __future__ import annotations

import secrets

from job.errors import Absent, Conflict, Forbidden, SettingsError, StoreError, Unreachable
from job.store.base import Store
from job.store.keys import below

TRIES = 3
"""How often a store is tried before it is believed to ignore conditions."""


def probe_conditional_writes(store: Store, prefix: str = "") -> None:
    """Write a small object under a fresh name below `prefix` against both conditions; remove it.

    A store that does not know the conditions ignores them and reports success, so only a second
    write with other data shows it; a store that loses a write now and then does not show it each time.

    Raises:
        SettingsError: the store overwrote what it should have kept.
        Absent, Forbidden, Unreachable: as the store says.
    """
    try:
        for time in range(1, TRIES + 1):
            try:
                return _try(store, below(prefix, f"probe-{secrets.token_hex(8)}"))
            except SettingsError:
                if time == TRIES:
                    raise
    except (Absent, Forbidden, Unreachable, SettingsError):
        raise
    except StoreError as error:
        # some stores answer 501 Not Implemented instead of ignoring the condition
        raise _ignored(store, f"conditions ({error.message})") from error


def _try(store: Store, key: str) -> None:
    # outside the block: if this fails there is nothing to remove, and trying to would hide why
    tag = store.put(key, b"first", if_absent=True)
    try:
        if not _refused(store, key, b"second", if_absent=True):
            raise _ignored(store, "If-None-Match")
        store.put(key, b"third", if_tag=tag)
        if not _refused(store, key, b"fourth", if_tag=tag):
            raise _ignored(store, "If-Match")
    finally:
        store.delete([key])


def _refused(
    store: Store, key: str, data: bytes, *, if_absent: bool = False, if_tag: str | None = None
) -> bool:
    try:
        store.put(key, data, if_absent=if_absent, if_tag=if_tag)
    except Conflict:
        return True
    return False


def _ignored(store: Store, what: str) -> SettingsError:
    return SettingsError(
        f"{store.uri}: the store does not honor {what}, so two pods could overwrite each other",
        hint="use a store that does, or set FINETUNE_STORE__SINGLE_WRITER=true if nobody else "
        "ever writes there",
    )
