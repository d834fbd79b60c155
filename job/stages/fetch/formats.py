"""What a file is, by its name and its first bytes, and its rows."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

import pyarrow as pa

from job.data.artifacts import open_regular
from job.errors import DataError, StoreError
from job.settings import Data
from job.stages.fetch.bounds import Meter, Metered
from job.stages.fetch.chunks import Chunk
from job.stages.fetch.columnar import pickle_refused, read_arrow, read_parquet, read_pickle
from job.stages.fetch.conll import read_conll
from job.stages.fetch.delimited import read_csv, read_tsv
from job.stages.fetch.jsons import read_json, read_jsonl
from job.stages.fetch.squad import read_squad
from job.stages.fetch.text import read_text
from job.store.keys import check_key

_READERS: dict[str, Callable[[BinaryIO, str, Data], Iterator[Chunk]]] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "json": read_json,
    "jsonl": read_jsonl,
    "text": read_text,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "conll": read_conll,
    "squad": read_squad,
    "pickle": read_pickle,
}
_SEEKABLE = ("parquet", "arrow")
_SUFFIXES = {
    ".tab": "tsv",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".pq": "parquet",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".pkl": "pickle",
    **{f".{name}": name for name in _READERS},
}
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
_MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    **{b"%c\x2a\x4d\x18" % byte: "zstd" for byte in range(0x50, 0x60)},  # a skippable frame
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    **{b"BZh%d1AY&SY" % level: "bz2" for level in range(1, 10)},
}


_FAULTS = (  # what the decompressors and Arrow raise for bytes that are not what they should be
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pa.ArrowException,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class Member:
    """A data file, or one file of an archive: its URI without secrets, its size in bytes as it is
    packed, and its rows as they are read."""

    name: str
    size: int
    chunks: Iterator[Chunk]


def members(path: Path, name: str, data: Data, scratch: Path) -> Iterator[Member]:
    """The file at `path`, which came from the URI `name`, or each file of the archive that it is.

    A member's chunks must be read before the next member is asked for.

    Raises:
        DataError: the file is damaged, or its format cannot be told from the name.
        SettingsError: it is a pickle, and pickles are not allowed.
    """
    with open_regular(path) as file:
        kind, size = _compression(file, name), path.stat().st_size
        if kind != "zip":
            meter = Meter(name, size, data.max_expansion)
            rows = partial(_rows, file, kind, meter, name, data, scratch)
            yield Member(name, size, _named(name, rows))
            return
        try:
            archive = zipfile.ZipFile(file)
        except (*_FAULTS, ValueError) as error:
            raise _damaged(name, error) from error
        for info in archive.infolist():
            if not _is_hidden(info):
                inner = f"{name}!{_checked(info.filename, name)}"
                rows = partial(_unzipped, archive, info, inner, data, scratch)
                yield Member(inner, info.compress_size, _named(inner, rows))


def _checked(member: str, archive: str) -> str:
    try:
        return check_key(member)
    except StoreError as error:
        raise DataError(f"{archive}: {error.message}", hint="create the archive again") from None


def _is_hidden(info: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(info.filename).parts
    hidden = any(part == "__MACOSX" or (part[0] == "." and part != "..") for part in parts)
    return info.is_dir() or hidden


def _unzipped(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, data: Data, scratch: Path
) -> Iterator[Chunk]:
    with archive.open(info) as file:
        kind = _compression(file, name)
        if kind == "zip":
            raise DataError(f"{name}: an archive in an archive", hint="unpack it")
        meter = Meter(name, info.compress_size, data.max_expansion)
        yield from _rows(Metered.of(file, meter), kind, meter, name, data, scratch)


def _rows(
    file: IO[bytes], kind: str | None, meter: Meter, name: str, data: Data, scratch: Path
) -> Iterator[Chunk]:
    """The rows of a file that is not a zip archive."""
    chosen = data.format if data.format != "auto" else format_of(name)
    if chosen == "pickle" and not data.allow_pickle:
        raise pickle_refused(name)
    opened = cast(BinaryIO, file) if kind is None else Metered.of(_decompressed(file, kind), meter)
    if chosen not in _SEEKABLE:
        yield from _READERS[chosen](opened, name, data)
        return
    with tempfile.TemporaryFile(dir=scratch) as spool:
        if opened.seekable():
            size = opened.seek(0, io.SEEK_END)
        else:
            shutil.copyfileobj(opened, spool)
            size, opened = spool.tell(), spool
        opened.seek(0)
        if size:
            yield from _READERS[chosen](opened, name, data)


def format_of(name: str) -> str:
    """The format that a file's name stands for, without the suffix of a compression.

    Raises:
        DataError: it stands for none.
    """
    path = PurePosixPath(name.lower())
    suffix = PurePosixPath(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix
    if suffix not in _SUFFIXES:
        raise DataError(
            f"{name}: the format cannot be told from the name",
            hint="set FINETUNE_DATA__FORMAT to one of " + ", ".join(_READERS),
        )
    return _SUFFIXES[suffix]


def _compression(file: IO[bytes], name: str) -> str | None:
    """How the file is compressed: by its first bytes, which must agree with its name."""
    start = cast(io.BufferedReader, file).peek(10)[:10]
    kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    named = _COMPRESSED.get(PurePosixPath(name.lower()).suffix)
    if named and start and kind != named:
        raise DataError(
            f"{name}: the name says {named}, the content is {kind or 'something else'}",
            hint="rename the file, or upload it again if it is damaged",
        )
    return kind


def _decompressed(file: IO[bytes], kind: str | None) -> BinaryIO:
    match kind:
        case "gzip":
            return cast(BinaryIO, gzip.GzipFile(fileobj=file))
        case "bz2":
            return cast(BinaryIO, bz2.BZ2File(file))
        case "xz":
            return cast(BinaryIO, lzma.LZMAFile(file))
        case "zstd":
            return cast(BinaryIO, pa.CompressedInputStream(file, "zstd"))
    return cast(BinaryIO, file)


def _named(name: str, rows: Callable[[], Iterator[Chunk]]) -> Iterator[Chunk]:
    """The same chunks; an error that says nothing of the file is turned into one that does."""
    try:
        yield from rows()
    except _FAULTS as error:
        raise _damaged(name, error) from error
    except UnicodeError as error:  # utf-16 without the mark that tells its byte order
        raise DataError(
            f"{name}: cannot be decoded: {error}", hint="set FINETUNE_DATA__ENCODING, such as utf-8"
        ) from error
    except OSError as error:
        if error.errno is not None:  # the disk's, not the decompressor's
            raise
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(
        f"{name}: cannot be read: {str(error) or type(error).__name__}",
        hint="it is damaged, incomplete or not of this format; upload it again",
    )
