"""Compressed files, archives, and folders with more than files in them."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import zstandard

from tests.corpus.case import Case, Cases, Content, damaged, file
from tests.corpus.texts import WHOLE
from tests.support.compression import COMPRESSED

PACK: dict[str, Callable[[bytes], bytes]] = {
    **COMPRESSED,
    "zip": lambda data: _zip({"a.csv": data}),
}


def cases() -> Cases:
    """Everything that is wrong around a file."""
    content = WHOLE["csv"].encode()
    for suffix, pack in PACK.items():
        packed = pack(content)
        kinds: dict[str, Content] = {
            "whole": packed,
            "empty": b"",
            "of nothing": pack(b""),
            "cut": packed[: len(packed) // 2],
            "without its end": packed[:-3],
            "with something behind": packed + b"behind",
            "twice": packed * 2,
            "within itself": pack(packed),
            "not packed": content,
            "damaged": damaged(packed, 1),
            "damaged otherwise": damaged(packed, 2),
            "much of nothing": partial(_much, pack),
        }
        for kind, data in kinds.items():
            yield Case(f"{suffix}/{kind}", file(f"a.csv.{suffix}", data))
    skipped = struct.pack("<II", 0x184D2A50, 4) + b"pzst" + zstandard.compress(content)
    yield Case("zst/a frame to skip", file("a.csv.zst", skipped))
    for kind, members in {
        "of no files": {},
        "out of its folder": {"../a.csv": content},
        "absolute": {"/etc/a.csv": content},
        "an archive in it": {"a.zip": PACK["zip"](content)},
        "an unknown format": {"a.exe": content},
        "a packed file": {"a.csv.gz": gzip.compress(content)},
    }.items():
        yield Case(f"zip/{kind}", file("a.zip", _zip(members)))
    for kind, make in FOLDERS.items():
        yield Case(f"folder/{kind}", make)
    yield Case("folder/nothing there", lambda _: None, {"DATA__TRAIN": "{folder}/no.csv"})
    for kind, uri in {
        "two slashes": "file://out/a.csv",
        "a fragment": "file:///a#b.csv",
        "an unknown scheme": "ftp://host/a.csv",
        "nobody listens": "http://127.0.0.1:9/a.csv",
        "a long name": "/tmp/" + "x" * 3_000,
        "a line end": "/tmp/a.csv\n",
        "brackets": "{folder}/[a",
        "a device": "/dev/zero",
        "memory": "/proc/self/mem",
    }.items():
        settings = {"DATA__TRAIN": uri, "DATA__FORMAT": "csv"}
        yield Case(f"uri/{kind}", file("a.csv", content), settings)


def _much(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(bytes(300 << 20))


def _zip(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return sink.getvalue()


def _beside(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Something beside a good file."""

    def write(folder: Path) -> None:
        (folder / "a.csv").write_text(WHOLE["csv"])
        make(folder / "b.csv")

    return write


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _latin(path: Path) -> None:
    Path(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.csv")).write_text(WHOLE["csv"])


def _saved(path: Path) -> None:
    for name in ("dataset_dict.json", "dataset_info.json", "state.json"):
        (path.parent / name).write_text("{}")


FOLDERS = {
    "a pipe": _beside(os.mkfifo),
    "a socket": _beside(_socket),
    "a device": _beside(lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": _beside(lambda path: path.symlink_to(path.name)),
    "a link to nowhere": _beside(lambda path: path.symlink_to("nowhere")),
    "a link to its folder": _beside(lambda path: path.symlink_to(".")),
    "a link out of it": _beside(lambda path: path.symlink_to("/etc/passwd")),
    "a folder named as a file": _beside(Path.mkdir),
    "a name in latin-1": _beside(_latin),
    "a name with a line end": _beside(lambda path: path.with_name("a\nb.csv").touch()),
    "several splits": _beside(_saved),
    "nothing": lambda folder: None,
    "hidden files alone": lambda folder: (folder / ".a.csv").touch(),
}
