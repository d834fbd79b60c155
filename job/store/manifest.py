"""The manifest of an artifact: what it is made of, and what tells whether it is whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from job.errors import BadName, Torn
from job.store.base import Reader
from job.store.keys import below, check_key
from job.store.records import twice

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class File:
    """One file of an artifact.

    `key` is relative to the artifact's prefix, `size` in bytes, `sha256` in hex.
    """

    key: str
    size: int
    sha256: str
    identity: str = ""
    """The stored object's, when it was found to hold these bytes; empty where nobody looked."""


@dataclass(frozen=True)
class Manifest:
    """The artifact's files by name, what its writer noted, and the nonce of the write."""

    files: dict[str, File]
    meta: dict[str, Any]
    nonce: str


def load(store: Reader, prefix: str) -> Manifest:
    """The artifact's manifest, read once more where it cannot be understood.

    Raises:
        Absent: there is none, so there is no artifact.
        Torn: it is not a manifest, or a name in it would leave its folder.
    """
    return twice(lambda: _loaded(store, prefix))


def _loaded(store: Reader, prefix: str) -> Manifest:
    key = below(prefix, MANIFEST)
    try:
        raw = json.loads(store.get(key))
        files = {
            check_key(name): File(
                check_key(file["key"]),
                int(file["size"]),
                str(file["sha256"]),
                str(file.get("identity", "")),
            )
            for name, file in raw["files"].items()
        }
        return Manifest(files, dict(raw["meta"]), str(raw["nonce"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Torn(f"{store.uri}/{key} is not a manifest ({error!r})") from error
    except BadName as error:
        raise Torn(f"{store.uri}/{key}: {error.message}") from error


def encoded(manifest: Manifest) -> bytes:
    """As the store holds it."""
    return json.dumps(asdict(manifest), indent=1, sort_keys=True, allow_nan=False).encode()
