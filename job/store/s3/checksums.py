"""An object's content against what the store says of it."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar

from job.store.s3.errors import BrokenBodyError

_BLOCK = 1 << 20
_MD5 = re.compile(r'"?([0-9a-f]{32})(?:-(\d+))?"?')


def etag_in(answer: Mapping[str, Any]) -> str:
    """The ETag that every answer about an object has.

    Raises:
        BrokenBodyError: it has none, so it is not S3's: a proxy's page, most likely.
    """
    if "ETag" not in answer:
        raise BrokenBodyError("the answer names no ETag, so it is not S3's")
    return str(answer["ETag"])


def parts_in(etag: str) -> int | None:
    """The number of parts that an ETag names; None for an object that was written by one request."""
    match = _MD5.fullmatch(etag)
    return int(match[2]) if match and match[2] else None


class Etags:
    """Tells damage by the ETag, where that is what it is by convention: the MD5 of the content, or of its
    parts' MD5s.

    One that does not fit speaks of damage, or of a store whose ETags are something else. Where this
    bucket has shown that its are MD5s, it is damage; elsewhere what arrives twice is believed.
    """

    _shown: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        self._arrived: dict[tuple[str, str], str] = {}

    def fits(self, bucket: str, answer: Mapping[str, Any], expected: str) -> bool:
        """Whether an answer's ETag is the expected one; that shows what this bucket's ETags are."""
        same = etag_in(answer).strip('"') == expected
        if same:
            self._shown.add(bucket)
        return same

    def check(self, bucket: str, key: str, answer: Mapping[str, Any], expected: str) -> None:
        """
        Args:
            expected: the ETag of what has arrived, by convention.

        Raises:
            BrokenBodyError: something else has arrived than the store holds.
        """
        etag = etag_in(answer)
        if self.fits(bucket, answer, expected) or not _may_be_md5(answer):
            return
        again = self._arrived.get((key, etag)) == expected
        if again and bucket not in self._shown:
            return
        self._arrived[key, etag] = expected
        raise BrokenBodyError(f"what arrived is not what its ETag {etag} stands for")


def _may_be_md5(answer: Mapping[str, Any]) -> bool:
    """It looks like one, and the object is not encrypted with a key that changes it."""
    sealed = str(answer.get("ServerSideEncryption", "")).startswith("aws:")
    sealed = sealed or "SSECustomerAlgorithm" in answer
    return not sealed and _MD5.fullmatch(etag_in(answer)) is not None


def etag_of_bytes(data: bytes, *, parts: int | None = None) -> str:
    """The ETag of some bytes by S3's convention, as one request or one part writes them."""
    return f"{md5(md5(data)).hex()}-1" if parts else md5(data).hex()


def md5(data: bytes) -> bytes:
    """The MD5; for the store's convention, not for security."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def etag_of(path: Path, part: int | Sequence[int] | None) -> str:
    """The ETag of a file's bytes by S3's convention.

    Args:
        part: the bytes of each part, or of each but the last; None for an object that one request
            writes.
    """
    if part is None:
        digest = hashlib.md5(usedforsecurity=False)
        for block in _blocks(path, repeat(_BLOCK)):
            digest.update(block)
        return digest.hexdigest()
    whole, count = _combined(path, part, md5)
    return f"{md5(whole).hex()}-{count}"


def crc32_of(path: Path, part: int | None) -> str:
    """The CRC32 of a file's bytes as S3 writes it: base64, or that of the parts' CRC32s and their number."""
    if part is None:
        value = 0
        for block in _blocks(path, repeat(_BLOCK)):
            value = zlib.crc32(block, value)
        return base64.b64encode(value.to_bytes(4, "big")).decode()
    whole, count = _combined(path, part, _crc32)
    return f"{base64.b64encode(_crc32(whole)).decode()}-{count}"


def _crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def _combined(
    path: Path, part: int | Sequence[int], digest: Callable[[bytes], bytes]
) -> tuple[bytes, int]:
    sizes = repeat(part) if isinstance(part, int) else part
    digests = [digest(block) for block in _blocks(path, sizes)]
    return b"".join(digests), len(digests)


def _blocks(path: Path, sizes: Iterable[int]) -> Iterator[bytes]:
    with path.open("rb") as file:
        for size in sizes:
            if not (block := file.read(size)):
                break
            yield block
