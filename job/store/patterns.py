"""Shell patterns over keys: `*` and `?` stop at a slash, `**` does not.

None of them matches a name that begins with a dot, and `**` does not match one that begins with `_`.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[*?\[]")


def is_pattern(key: str) -> bool:
    """Whether the key has pattern characters in it."""
    return _SPECIAL.search(key) is not None


def fixed_folder(pattern: str) -> str:
    """The folders before the first pattern character, without the last slash; may be empty."""
    special = _SPECIAL.search(pattern)
    end = special.start() if special else len(pattern)
    return pattern[:end].rpartition("/")[0]


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression for `fullmatch` over keys."""
    parts = pattern.split("/")
    out = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            name = r"(?![._])[^/]+"
            out += rf"{name}(?:/{name})*" if last else rf"(?:{name}/)*"
        else:
            out += _part(part) + ("" if last else "/")
    return re.compile(out, re.DOTALL)


def is_hidden(key: str) -> bool:
    """Whether a part of the key begins with `.` or `_`, as markers such as _SUCCESS do."""
    return any(part.startswith((".", "_")) for part in key.split("/"))


def _part(part: str) -> str:
    out = r"(?!\.)" if _SPECIAL.match(part) else ""
    at = 0
    while at < len(part):
        end = part.find("]", at + 2) if part[at] == "[" else -1
        if part[at] == "*":
            out += "[^/]*"
        elif part[at] == "?":
            out += "[^/]"
        elif end > 0:
            inside = part[at + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            out += f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
            at = end
        else:
            out += re.escape(part[at])
        at += 1
    return out
