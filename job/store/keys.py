"""Names that may not lead out of their folder: keys, names in manifests, members of archives."""

from __future__ import annotations

import re
from pathlib import Path

from job.errors import BadName

_DRIVE = re.compile(r"[A-Za-z]:")


def check_key(key: str) -> str:
    """The key itself, if it is a plain relative path such as `a/b.json`.

    Raises:
        BadName: it is empty or absolute, has an empty, `.` or `..` part, a backslash, a NUL or a
            drive letter: on some system it would name something outside its folder.
    """
    bad = (
        not key
        or "\\" in key
        or "\0" in key
        or _DRIVE.match(key) is not None
        or any(part in ("", ".", "..") for part in key.split("/"))
    )
    if bad:
        raise BadName(f"the name {key!r} does not stay in its folder")
    return key


def safe_path(root: Path, key: str) -> Path:
    """The path of `key` below `root`.

    Raises:
        BadName: as `check_key`, or a symbolic link on the way leads out of `root`.
    """
    root = resolved(root)
    path = root / check_key(key)
    if not resolved(path).is_relative_to(root):
        raise BadName(
            f"{path}: a symbolic link leads out of {root}",
            hint="copy what it points to into the folder, or name the target itself",
        )
    return path


def resolved(path: Path) -> Path:
    """The path without symbolic links.

    Raises:
        BadName: they lead in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError:  # of Python before 3.13
        raise BadName(f"{path}: symbolic links lead in a circle", hint="remove them") from None


def below(prefix: str, key: str) -> str:
    """`key` below `prefix`, where either may be empty."""
    prefix = prefix.strip("/")
    return f"{prefix}/{key}" if prefix and key else prefix or key
