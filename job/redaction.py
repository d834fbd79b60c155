"""What is secret replaced by asterisks, in whatever text it stands.

A text that is one URI alone is `job.uris.Uri`'s, which tells `remember` what it hides. `mask` goes by
how secrets look in a text that quotes URIs: white space and quotes end a URI there. `redact` is for all
that is printed: it hides what is known to be secret too, however a library has written it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote

SCHEMES = ("s3", "https", "http", "hf", "file")
KEYED = ("s3", "hf", "file")
"""Schemes whose URIs end in a key, which may hold an `@`, and in which `?` is a pattern's."""

BEGIN = rf"(?:[a-z][a-z0-9+.-]*://|(?:{'|'.join(SCHEMES)}):/)"
"""How a URI begins, also where one slash was forgotten; in any case."""

NAME_ENDINGS = r"secrets?|token|passw(?:or)?d|passphrase|credentials?|signature|(?:api|access|private)_?key(?:_?id)?"
"""What ends a word in the name of a variable or of a query's parameter that holds a secret."""
NAME_WORDS = "sig|key|pwd|auth|authorization|jwt|bearer"
"""What is a whole word in such a name. Both are in the words of RE2 as well, which the chart has."""
SECRET_NAME = rf"(?i)(?:{NAME_ENDINGS}|(?:^|[^a-z0-9])(?:{NAME_WORDS}))(?:$|[^a-z0-9])"
PLACE_NAME = r"(?i)^(?:old)?pwd$|_(?:file|path|dir|url|uri)$"
"""A variable of such a name says where something is."""
REMEMBERED = 8
"""Characters of the shortest secret that is looked for by itself: a shorter one is in many words."""

_remembered: list[str] = []
"""What is known to be secret, in all its forms, the longest first."""

_KEPT_IN_URIS = "%/?:@!$&'()*+,;=-._~"
"""What a library that escapes the rest of a URI leaves as it is."""
_WORD = re.compile(rf"(?P<begin>{BEGIN})(?P<rest>[^\s'\"]+)", re.IGNORECASE)
_QUERY = re.compile(rf"(?P<base>{BEGIN}[^\s?#'\"]+)\?[^\s'\"]+", re.IGNORECASE)
_PARAMETER = re.compile(r"(?P<name>[?&;][\w.%-]+)=[^\s&'\"]+")
_QUERY_AFTER_SPACES = re.compile(rf"(?P<base>{BEGIN}[^?#\n]+)\?[\w.%-]+=[^\s'\"]+", re.IGNORECASE)
_END = r"(?=[/?#]|\Z)"
_ROOT = re.compile(rf"[\w.-]*{_END}")
_FULL_NAME = re.compile(rf"(?:[\w-]+\.)+[\w-]+{_END}")
_FULL_NAME_AND_PORT = re.compile(rf"(?:[\w-]+\.)+[\w-]+(?::\d+)?{_END}")
_ANY_SERVER = re.compile(rf"(?:[\w.-]+|\[[\w:.]+\])(?::\d+)?{_END}")


def mask(text: str) -> str:
    """The text with the user info and the query of every URI in it replaced by asterisks.

    It depends on the text alone, so that what is masked may be compared.
    """
    return _QUERY.sub(r"\g<base>?***", _without_user_info(text))


def redact(text: str) -> str:
    """The text as it may be printed: masked, and without what is known to be secret, or looks so."""
    for form in _remembered:
        text = text.replace(form, "***")
    text = _QUERY_AFTER_SPACES.sub(r"\g<base>?***", mask(text))
    return _PARAMETER.sub(_without_value, text)


def remember(secret: str) -> None:
    """Hide this from now on wherever `redact` finds it, also escaped, or quoted in part."""
    new = {form for form in _forms(secret) if len(form) >= REMEMBERED}.difference(_remembered)
    _remembered.extend(new)
    _remembered.sort(key=len, reverse=True)  # a part must not go before the whole


def remember_hidden(text: str, shown: str) -> None:
    """Hide what asterisks stand for in `shown`, and those parts of it that a library may quote alone."""
    literals = map(re.escape, shown.split("***"))
    whole = re.fullmatch("(.+)".join(literals), text, re.DOTALL)
    for hidden in whole.groups() if whole else (text,):
        remember(hidden)
        user, colon, password = hidden.partition(":")
        remember(password)
        for part in re.split(r"[/?#@:&]", password if colon else user):
            name, equals, value = part.partition("=")
            if not equals or is_secret(name) or len(value) > 2 * REMEMBERED:
                remember(value if equals else part)


def is_secret(name: str) -> bool:
    """Whether a variable or a parameter of this name holds a secret."""
    return re.search(SECRET_NAME, name) is not None and not re.search(PLACE_NAME, name)


def _forms(secret: str) -> Iterator[str]:
    """How libraries write it: as it is, in a URI, in Python, and in JSON."""
    for form in {secret, unquote(secret)}:
        # a surrogate, which stands for a byte that is no text, cannot be escaped
        safe = form.encode("utf-8", "replace").decode()
        yield form
        yield from (
            quote_plus(safe),
            *(quote(safe, safe=kept) for kept in ("", "/", _KEPT_IN_URIS)),
        )
        yield from (repr(form)[1:-1], json.dumps(form)[1:-1])
        yield json.dumps(form, ensure_ascii=False)[1:-1]


def _without_value(parameter: re.Match[str]) -> str:
    return f"{parameter['name']}=***" if is_secret(parameter["name"]) else parameter[0]


def mask_all(value: Any) -> Any:
    """A value as JSON can hold it, every string in it masked; what JSON does not know, as text."""
    return _each(value, mask)


def redact_all(value: Any) -> Any:
    """The same as it may be printed, with the names in it."""
    return _each(value, redact, redact)


def _each(value: Any, hide: Callable[[str], str], name: Callable[[str], str] = str) -> Any:
    if isinstance(value, dict):
        return {
            name(key) if isinstance(key, str) else key: _each(item, hide, name)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_each(item, hide, name) for item in value]
    return value if value is None or isinstance(value, (int, float)) else hide(str(value))


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
