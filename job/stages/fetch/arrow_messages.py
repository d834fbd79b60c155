"""What an Arrow stream's record batches take in memory, read from their headers alone.

The layout is Arrow's IPC format: encapsulated messages, each a FlatBuffer with the lengths of its
buffers, and a body. A compressed buffer begins with its length once it is unpacked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

MAGIC = b"ARROW1"
_CONTINUES = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_MAX_HEADER = 64 << 20


class _Table:
    """A FlatBuffer table: fields by number, at offsets from its own place."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        (back,) = struct.unpack_from("<i", data, at)
        self._fields = at - back
        (self._size,) = struct.unpack_from("<H", data, self._fields)

    def place(self, field: int) -> int | None:
        """Where a field is; None if it has its default."""
        slot = 4 + 2 * field
        if slot >= self._size:
            return None
        (offset,) = struct.unpack_from("<H", self.data, self._fields + slot)
        return self.at + offset if offset else None

    def number(self, field: int, kind: str) -> int:
        """A scalar."""
        place = self.place(field)
        return 0 if place is None else int(struct.unpack_from(f"<{kind}", self.data, place)[0])

    def follow(self, field: int) -> int | None:
        """Where the table or vector is that a field refers to."""
        place = self.place(field)
        if place is None:
            return None
        return place + int(struct.unpack_from("<I", self.data, place)[0])


def batch_sizes(file: BinaryIO) -> Iterator[int]:
    """The bytes that each batch of a stream, or of a file, takes once unpacked.

    Raises:
        struct.error, ValueError: these are not such messages.
    """
    start = 8 if file.read(6) == MAGIC else 0
    file.seek(start)
    while head := file.read(4):
        (size,) = struct.unpack("<I", head)
        if size == _CONTINUES:
            (size,) = struct.unpack("<I", file.read(4))
        if size == 0:
            return
        if size > _MAX_HEADER:
            raise ValueError("too large a header")
        header = file.read(size)
        body = file.tell()
        (root,) = struct.unpack_from("<I", header)
        message = _Table(header, root)
        length = message.number(3, "q")
        if length < 0:
            raise ValueError("a negative length")
        if (table := _batch(message)) is not None:
            yield _unpacked(table, file, body, length)
        file.seek(body + length)


def _batch(message: _Table) -> _Table | None:
    kind, place = message.number(1, "B"), message.follow(2)
    if place is None or kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return None
    table = _Table(message.data, place)
    if kind == _RECORD_BATCH:
        return table
    inner = table.follow(1)
    return None if inner is None else _Table(message.data, inner)


def _unpacked(batch: _Table, file: BinaryIO, body: int, length: int) -> int:
    buffers = batch.follow(2)
    if buffers is None or batch.follow(3) is None:  # not compressed
        return length
    (count,) = struct.unpack_from("<I", batch.data, buffers)
    size = 0
    for number in range(count):
        offset, packed = struct.unpack_from("<qq", batch.data, buffers + 4 + 16 * number)
        if packed > 8:
            file.seek(body + offset)
            (unpacked,) = struct.unpack("<q", file.read(8))
            size += packed if unpacked < 0 else unpacked
    return size
