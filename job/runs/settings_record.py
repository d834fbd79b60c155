"""The settings that a run was started with: every later start must come with the same."""

from __future__ import annotations

from typing import Any

from job.data.artifacts import canonical_json
from job.errors import Absent, SettingsError, Torn
from job.settings import Settings, recorded
from job.settings.names import Path, sections
from job.store import Store
from job.store.records import read_json, write_on


def check_settings(store: Store, key: str, wanted: dict[str, Any], run_id: str) -> None:
    """Record what a run is started with, or compare it with what it was started with before.

    Args:
        key: of the record.
        wanted: the settings that decide what is learned.

    Raises:
        SettingsError: the run was started with others.
        Torn: the record is damaged, and not by a write of these settings that was cut short.
    """
    data = canonical_json(wanted)
    try:
        changed = _changed(store, key, wanted) and _changed(store, key, wanted)
    except Absent:
        store.put(key, data, if_absent=True)
        return
    except Torn as error:
        write_on(store, key, data, error)
        return
    if changed:
        raise SettingsError(
            f"the run {run_id} was started with other settings ({'; '.join(changed[:5])})",
            hint="set them back, or give this run another FINETUNE_RUN_ID",
        )


def _changed(store: Store, key: str, wanted: dict[str, Any]) -> list[str]:
    before = read_json(store, key)
    return [
        f"{'.'.join(path)}: {old!r} there, {new!r} here"
        for path, old, new in differences(before, wanted)
    ]


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[Path, Any, Any]]:
    """The settings that decide what is learned in which two records of them differ, with both values. One
    that `old` lacks was at its default then, and one that only `old` knows is another release's."""
    return _differences(old, new, recorded(Settings.model_construct()))


def _differences(old: Any, new: Any, default: Any, path: Path = ()) -> list[tuple[Path, Any, Any]]:
    """By path; a key of the user's own in a mapping is a part of its value."""
    if isinstance(old, dict) and isinstance(new, dict) and (not path or path in sections()):
        known = {**default, **old} if isinstance(default, dict) else old
        found = []
        for key in sorted(known.keys() & new.keys()):
            below = default.get(key) if isinstance(default, dict) else None
            found += _differences(known[key], new[key], below, (*path, key))
        return found
    return [] if old == new else [(path, old, new)]
