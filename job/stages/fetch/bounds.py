"""What a file may become as it is read, so that a small one cannot take all memory, disk or time."""

from __future__ import annotations

import io
from typing import IO, Any, BinaryIO

from job.errors import DataError

FLOOR = 256 << 20
"""What any file may become, in bytes, however small it is."""


class Meter:
    """Counts what one file has become, in bytes."""

    def __init__(self, name: str, size: int, expansion: float) -> None:
        """
        Args:
            name: the file's URI without secrets.
            size: its own bytes.
            expansion: how many times as large it may become (FINETUNE_DATA__MAX_EXPANSION).
        """
        self.most = max(FLOOR, int(size * expansion))
        self._name, self._size, self._expansion = name, size, expansion
        self._count = 0

    def add(self, size: int) -> None:
        """So many more bytes have come.

        Raises:
            DataError: that is more than the file may become.
        """
        self._count += size
        if self._count > self.most:
            raise self.refusal(self._count)

    def refusal(self, size: int) -> DataError:
        """Why a file that would become so large is not read on."""
        return DataError(
            f"{self._name}: its {self._size:,} bytes become more than {self.most:,}: "
            f"{size:,} so far",
            hint="if it is what it should be, raise FINETUNE_DATA__MAX_EXPANSION above "
            f"{self._expansion:g}",
        )


class Metered(io.RawIOBase):
    """A file that is being unpacked, its bytes counted."""

    def __init__(self, file: IO[bytes], meter: Meter) -> None:
        self._file, self._meter = file, meter

    @classmethod
    def of(cls, file: IO[bytes], meter: Meter) -> BinaryIO:
        """The file, to be read in any pieces.

        Whoever reads it raises DataError once it has become too large.
        """
        return io.BufferedReader(cls(file, meter))

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as one read does."""
        data = self._file.read(len(buffer))
        self._meter.add(len(data))
        buffer[: len(data)] = data
        return len(data)


def too_long(name: str, place: int, size: int, most: int) -> DataError:
    """Why a file with so long a row is not read on.

    Args:
        name: the file's URI without secrets.
        place: the row's line.
        size: of the row, as far as it is known.
        most: what a row may take.
    """
    return DataError(
        f"{name}:{place}: a row takes {size:,} bytes or more, {most:,} are allowed",
        hint="set FINETUNE_DATA__FORMAT if the file is not what its name says, or raise "
        f"FINETUNE_DATA__MAX_ROW_BYTES above {most}",
    )
