"""Folders that `datasets` wrote with save_to_disk: which of their files hold rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from job.errors import SettingsError
from job.store.base import Object, Reader
from job.uris import Uri

_FACTS = ("dataset_info.json", "state.json")
"""Beside the Arrow files of one split."""
_SPLITS = "dataset_dict.json"
"""Above the folders of several splits."""

Stored = tuple[Reader, Object]


def without_facts(stored: Iterable[Stored], uri: Uri) -> list[Stored]:
    """The files without those that say what others hold, and without what was cached beside them.

    Raises:
        SettingsError: the folder has several splits, of which a source is one.
    """
    files = list(stored)
    folders: dict[str, set[str]] = {}
    for _, item in files:
        path = PurePosixPath(item.key)
        folders.setdefault(str(path.parent), set()).add(path.name)
    for folder, names in folders.items():
        if _SPLITS in names:
            below = (PurePosixPath(name) for name in folders if name != folder)
            splits = [path.name for path in below if str(path.parent) == folder]
            raise SettingsError(
                f"{uri}: a folder of several splits ({', '.join(sorted(splits)) or 'none'})",
                hint="name the folder of one of them, such as its train/",
            )
    saved = {f for f, names in folders.items() if set(_FACTS) <= names and _has_arrow(names)}
    return [(reader, item) for reader, item in files if not _is_fact(item.key, saved)]


def _has_arrow(names: Iterable[str]) -> bool:
    return any(name.endswith(".arrow") for name in names)


def _is_fact(key: str, saved: set[str]) -> bool:
    path = PurePosixPath(key)
    cached = path.name.startswith("cache-") and path.suffix == ".arrow"
    return str(path.parent) in saved and (path.name in _FACTS or cached)
