"""Where things lie: URIs taken apart, and made safe to print."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from job.errors import SettingsError

SCHEMES = ("s3", "https", "http", "hf", "file")

_ONE_SLASH = re.compile(rf"({'|'.join(SCHEMES)}):", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BEGIN = rf"(?:[a-z][a-z0-9+.-]*://|(?:{'|'.join(SCHEMES)}):/)"
"""How a URI begins in some text, also where one slash was forgotten."""
_USER_INFO = re.compile(rf"(?P<scheme>{_BEGIN})[^/@\s]+@", re.IGNORECASE)
_SIGNED_QUERY = re.compile(rf"(?P<base>{_BEGIN}[^\s?#'\"]+)\?[^\s'\"]+", re.IGNORECASE)


def scheme_of(uri: str) -> str:
    """The URI's scheme; a plain path counts as `file`.

    Raises:
        SettingsError: the scheme is none that the job reads.
    """
    scheme, separator, _ = uri.partition("://")
    if not separator:
        if slip := _ONE_SLASH.match(uri):  # taken for a folder, it would be written to unnoticed
            shown = mask(uri)
            raise SettingsError(f"{shown}: not a URI", hint=f"write {slip[0]}//, or ./{shown}")
        return "file"
    if scheme.lower() not in SCHEMES:
        raise SettingsError(
            f"{mask(uri)}: the scheme {scheme}:// is not known",
            hint="use s3://, https://, hf:// or a path",
        )
    return scheme.lower()


def split_s3(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/prefix` as (`bucket`, `some/prefix`).

    Raises:
        SettingsError: it names no bucket.
    """
    # not by urlsplit, which takes '?' and '#' for a query and a fragment; in a key they are plain
    bucket, _, key = uri[len("s3://") :].partition("/")
    if not bucket:
        raise SettingsError(f"{uri}: no bucket", hint="write s3://bucket/prefix")
    if not _BUCKET.fullmatch(bucket):
        raise SettingsError(
            f"{mask(uri)}: no bucket has such a name",
            hint="write s3://bucket/prefix; credentials belong in AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY",
        )
    return bucket, key.strip("/")


def check_uri(uri: str) -> str:
    """The URI's scheme.

    Raises:
        SettingsError: it is malformed, its scheme is none that the job reads, or it is an s3:// URI
            without a bucket.
    """
    scheme = scheme_of(uri)
    if scheme == "s3":
        split_s3(uri)
    elif scheme != "file":
        try:
            urlsplit(uri)
        except ValueError as error:
            raise SettingsError(f"{mask(uri)}: not a URI ({error})", hint="correct it") from None
    return scheme


def local_path(uri: str) -> Path:
    """The path that a `file://` URI or a plain path names."""
    return Path(urlsplit(uri).path if uri.startswith("file://") else uri).expanduser()


def join(uri: str, key: str) -> str:
    """The URI of `key` below `uri`."""
    return f"{uri.rstrip('/')}/{key.lstrip('/')}" if key else uri


def mask(text: str) -> str:
    """The text with the user info and the query of every URI in it replaced by asterisks."""
    text = _USER_INFO.sub(r"\g<scheme>***@", text)
    return _SIGNED_QUERY.sub(r"\g<base>?***", text)


def without_secrets(uri: str) -> str:
    """The URI without user info and query, as it may stand in a record that is compared."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return uri
    host = parts.netloc.rpartition("@")[2].lower()
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
