"""Shell patterns over keys: `*` and `?` stop at a slash, `**` does not.

None of them matches a name that begins with a dot, and `**` does not match one that begins with `_`.
`[abc]` is one of these characters; `[[]` is a bracket.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[*?\[]")
_WILD = re.compile(r"[*?]")


def is_pattern(key: str, *, brackets: bool = True) -> bool:
    """Whether the key has pattern characters in it; brackets count as asked."""
    return (_SPECIAL if brackets else _WILD).search(key) is not None


def fixed_folder(pattern: str) -> str:
    """The folders before the first pattern character, with the last slash; may be empty."""
    special = _SPECIAL.search(pattern)
    end = special.start() if special else len(pattern)
    return pattern[: pattern.rfind("/", 0, end) + 1]


def compiled(pattern: str, *, brackets: bool = True) -> re.Pattern[str]:
    """A regular expression for `fullmatch` over keys; without `brackets`, these are plain."""
    parts = pattern.split("/")
    out = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            name = r"(?![._])[^/]*"  # the parts of a key may be empty
            out += rf"{name}(?:/{name})*" if last else rf"(?:{name}/)*"
        else:
            out += _part(part, brackets) + ("" if last else "/")
    return re.compile(out, re.DOTALL)


def is_hidden(key: str) -> bool:
    """Whether a part of the key begins with `.` or `_`, as markers such as _SUCCESS do."""
    return any(part.startswith((".", "_")) for part in key.split("/"))


def _part(part: str, brackets: bool) -> str:
    out = r"(?!\.)" if is_pattern(part[:1], brackets=brackets) else ""
    at = 0
    while at < len(part):
        end = part.find("]", at + 2) if brackets and part[at] == "[" else -1
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
