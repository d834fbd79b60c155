"""Where things lie: the URIs, paths and Hub ids of the settings, taken apart and safe to print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from job.environment import OURS
from job.errors import SettingsError
from job.redaction import (
    BEGIN,
    KEYED,
    SCHEMES,
    hide_user_info,
    is_secret,
    mask,
    remember,
    remember_hidden,
)
from job.text import is_text

_BEGIN = re.compile(BEGIN, re.IGNORECASE)
_ONE_SLASH = re.compile(rf"({'|'.join(SCHEMES)}):", re.IGNORECASE)
_FILE = "file://"
CHAMPION = "champion"
"""The last part of a name that stands for the version of a model in use, as the record beside it says."""
_DOUBTFUL = re.compile(r"[#?]|%[0-9A-Fa-f]{2}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Uri:
    """A URI, a path or a Hub id, as somebody wrote it; never changed.

    However it is printed, recorded or serialized, asterisks stand for its user info and its query.
    The text itself is `secret`: for what connects to the place, and for nothing else.
    """

    __slots__ = ("_shown", "secret")
    secret: str
    """The text with all that is in it."""
    _shown: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "secret", text)
        shown = mask(_without_query(_without_user_info(text)))
        object.__setattr__(self, "_shown", shown)
        if shown != text:
            remember_hidden(text, shown)

    @classmethod
    def of(cls, value: Uri | str) -> Uri:
        """The URI itself, or the one that a text is."""
        return value if isinstance(value, Uri) else cls(value)

    @property
    def scheme(self) -> str:
        """The scheme; a plain path, or a Hub id, counts as `file`.

        Raises:
            SettingsError: the job does not read this scheme.
        """
        scheme, separator, _ = self.secret.partition("://")
        if not separator:
            if slip := _ONE_SLASH.match(self.secret):
                # taken for a folder, it would be written to unnoticed
                raise SettingsError(f"{self}: not a URI", hint=f"write {slip[0]}//, or ./{self}")
            return "file"
        if scheme.lower() not in SCHEMES:
            raise SettingsError(
                f"{self}: the scheme {scheme}:// is not known",
                hint="use s3://, https://, hf:// or a path",
            )
        return scheme.lower()

    def check(self) -> None:
        """See whether it is well-formed.

        Raises:
            SettingsError: it is not, the job does not read its scheme, or it is an s3:// URI without
                a bucket, or a file:// URI that reads in two ways.
        """
        scheme = self.scheme
        if not is_text(self.secret):
            raise SettingsError(
                f"{self!a}: not UTF-8", hint="rename what it names, and write it in UTF-8"
            )
        if "\0" in self.secret:
            raise SettingsError(f"{self!a}: it holds a NUL", hint="remove it")
        if scheme == "s3":
            self.bucket_and_key()
        elif scheme == "file":
            _ = self.path
        else:
            try:
                urlsplit(self.secret)
            except ValueError:  # which may quote what is secret
                raise SettingsError(
                    f"{self}: not a URI", hint="correct the name of the server"
                ) from None

    def bucket_and_key(self) -> tuple[str, str]:
        """`s3://bucket/some/prefix` as (`bucket`, `some/prefix`), every slash of the key kept.

        Raises:
            SettingsError: it names no bucket.
        """
        # not by urlsplit, which takes '?' and '#' for a query and a fragment; in a key they are plain
        bucket, _, key = self.secret[len("s3://") :].partition("/")
        if not bucket:
            raise SettingsError(f"{self}: no bucket", hint="write s3://bucket/prefix")
        if not _BUCKET.fullmatch(bucket):
            raise SettingsError(
                f"{self}: no bucket has such a name",
                hint="write s3://bucket/prefix; credentials belong in AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY",
            )
        return bucket, key

    @property
    def path(self) -> Path:
        """The local path that a `file://` URI or a plain path names.

        Raises:
            SettingsError: it is a URI of another server's files, or one that reads in two ways.
        """
        text = self.secret
        if text[: len(_FILE)].lower() == _FILE:
            text = text[len(_FILE) :].removeprefix("localhost")
            if not text.startswith("/"):
                raise SettingsError(
                    f"{self}: what follows two slashes is a server, not a folder",
                    hint=f"write file:///{text} for an absolute path, or ./{text}",
                )
            if _DOUBTFUL.search(text):
                raise SettingsError(
                    f"{self}: #, ? and % mean something else in a URI than in a path",
                    hint="write the path as it is, without file://",
                )
        if not text.startswith("~"):  # as ./~ is none
            return Path(text)
        try:
            return Path(text).expanduser()
        except RuntimeError:  # ~ or ~NAME of somebody who has no home on this machine
            raise SettingsError(
                f"{self}: {Path(text).parts[0]} is nobody's home here",
                hint="write the path from / on, or ./ before a name that begins with ~",
            ) from None

    @property
    def is_hub_id(self) -> bool:
        """Whether, as the name of a model, it can only be the Hub's: no scheme and no such folder."""
        return "://" not in self.secret and not self.path.is_dir()

    @property
    def of_champion(self) -> Uri | None:
        """The model's place, `…/spam`, where this is `…/spam/champion`; None for any other name, on this
        disk also where no record of a champion lies beside it: it may be the Hub's."""
        place, _, last = self.secret.rstrip("/").rpartition("/")
        if last != CHAMPION or self.scheme not in ("s3", "file"):
            return None
        if self.scheme == "s3":
            return Uri(place) if "/" in self.bucket_and_key()[1].rstrip("/") else None
        folder = self.path.absolute().parent
        return Uri(str(folder)) if (folder / f"{CHAMPION}.json").is_file() else None

    @property
    def suffix(self) -> str:
        """What follows the last dot, in lower case; empty where there is none."""
        _, dot, suffix = self.secret.rpartition(".")
        return suffix.lower() if dot else ""

    @property
    def without_secrets(self) -> str:
        """The URI without user info and query, as it may stand in a record that is compared."""
        place = _without_user_info(self.secret)
        begin = _BEGIN.match(place)
        if begin is None or _scheme(begin) in KEYED:
            return place
        if _scheme(begin) not in SCHEMES:
            return self._shown
        parts = urlsplit(place)
        host = parts.netloc.rpartition("@")[2].lower()
        return urlunsplit((parts.scheme, host, parts.path, "", ""))

    @property
    def server(self) -> str:
        """A web address as it may be shown where its path is a secret too: the server, and asterisks."""
        server, _, path = self.without_secrets.partition("://")[2].partition("/")
        return f"{self.scheme}://{server}{'/***' if path else ''}" if server else str(self)

    @property
    def folder(self) -> Uri:
        """All that lies below it: the same with a slash at its end."""
        return self if self.secret.endswith("/") else Uri(f"{self.secret}/")

    def of_key(self, key: str) -> Uri:
        """The URI of an object whose key below it is `key`; every slash of the key counts."""
        place = self.secret
        return Uri(f"/{key}" if place == "/" else f"{place}/{key}")

    def __truediv__(self, key: str) -> Uri:
        """The URI of `key` below it; an empty key is the URI itself."""
        return Uri(f"{self.secret.rstrip('/')}/{key.lstrip('/')}") if key else self

    def __str__(self) -> str:
        return self._shown

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)

    def __repr__(self) -> str:
        return f"Uri({self._shown!r})"

    def __len__(self) -> int:
        return len(self.secret)

    def __eq__(self, other: object) -> bool:
        return self.secret == other.secret if isinstance(other, Uri) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.secret)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Uri is never changed, and neither is its {name}")

    def __reduce__(self) -> tuple[type[Uri], tuple[str]]:
        return Uri, (self.secret,)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.no_info_before_validator_function(
            lambda value: value.secret if isinstance(value, Uri) else value,
            text,
            serialization=core_schema.to_string_ser_schema(when_used="always"),
        )


def remember_environment(environment: Mapping[str, str]) -> None:
    """Hide from now on what is secret in variables: by their names, or as user info or query of a URI.

    Our own are left out: a name of theirs may be that of a column, and settings know their secrets.
    """
    for name, value in environment.items():
        if name.startswith(OURS):
            continue
        if is_secret(name):
            remember(value.strip())
        elif _BEGIN.match(value):
            Uri(value)


def _scheme(begin: re.Match[str]) -> str:
    return begin[0].partition(":")[0].lower()


def _without_user_info(text: str) -> str:
    begin = _BEGIN.search(text)
    if begin is None:
        return text
    return text[: begin.start()] + hide_user_info(begin[0], text[begin.end() :])


def _without_query(text: str) -> str:
    """The text with its query hidden up to the end, white space and quotes included."""
    begin = _BEGIN.search(text)
    if begin is None or _scheme(begin) in KEYED:
        return text
    return re.sub(r"^([^?#]*)\?.+", r"\1?***", text, flags=re.DOTALL)
