"""URIs made safe to print: user info and queries replaced by asterisks, in whatever text they stand.

A text that is one URI alone is `job.uris.Uri`'s. `mask` is for text that quotes URIs, such as a
library's error: white space and quotes end a URI there.
"""

from __future__ import annotations

import re
from typing import Any

SCHEMES = ("s3", "https", "http", "hf", "file")
KEYED = ("s3", "hf", "file")
"""Schemes whose URIs end in a key, which may hold an `@`, and in which `?` is a pattern's."""

BEGIN = rf"(?:[a-z][a-z0-9+.-]*://|(?:{'|'.join(SCHEMES)}):/)"
"""How a URI begins, also where one slash was forgotten; in any case."""

_WORD = re.compile(rf"(?P<begin>{BEGIN})(?P<rest>[^\s'\"]+)", re.IGNORECASE)
_QUERY = re.compile(rf"(?P<base>{BEGIN}[^\s?#'\"]+)\?[^\s'\"]+", re.IGNORECASE)
_END = r"(?=[/?#]|\Z)"
_ROOT = re.compile(rf"[\w.-]*{_END}")
_FULL_NAME = re.compile(rf"(?:[\w-]+\.)+[\w-]+{_END}")
_FULL_NAME_AND_PORT = re.compile(rf"(?:[\w-]+\.)+[\w-]+(?::\d+)?{_END}")
_ANY_SERVER = re.compile(rf"(?:[\w.-]+|\[[\w:.]+\])(?::\d+)?{_END}")


def mask(text: str) -> str:
    """The text with the user info and the query of every URI in it replaced by asterisks."""
    return _QUERY.sub(r"\g<base>?***", _without_user_info(text))


def mask_all(value: Any) -> Any:
    """A value as JSON can hold it, every string in it masked; what JSON does not know, as text."""
    if isinstance(value, dict):
        return {key: mask_all(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_all(item) for item in value]
    return value if value is None or isinstance(value, (int, float)) else mask(str(value))


def hide_user_info(begin: str, rest: str) -> str:
    """A URI with asterisks for its user info.

    By the book user info ends at an `@` before the first `/`, `?` or `#`, and these are escaped in
    it. People paste passwords as they are, so whatever stands before the last `@` counts as user
    info, unless it begins with what can only be the start of a place: a bucket, an organization, or
    the full name of a server (a word, or a word and a number, may be a user and the start of a
    password). So a path with an `@` in it may be hidden for nothing, and a part of a password is
    shown only where that reads like a place and its query: `12/34?56`, or `12@34.56?78`.

    Args:
        begin: the scheme and its slashes.
        rest: what follows them.
    """
    keyed = begin.partition(":")[0].lower() in KEYED
    if "@" not in rest:
        return begin + rest
    if root := (_ROOT if keyed else _FULL_NAME).match(rest):
        return begin + root[0] + _without_user_info(rest[root.end() :])
    place, question, query = (rest, "", "") if keyed else rest.partition("?")
    _, at, place = place.rpartition("@")
    server = _FULL_NAME_AND_PORT if at else _ANY_SERVER
    if "@" in query and not server.match(place):
        return f"{begin}***"  # the question mark is the password's
    return f"{begin}{'***@' if at else ''}{place}{question}{query}"


def _without_user_info(text: str) -> str:
    return _WORD.sub(lambda uri: hide_user_info(uri["begin"], uri["rest"]), text)
