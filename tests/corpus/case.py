"""One broken input: what is written, and with which settings it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """An input that may be anything but the end of the process that reads it."""

    name: str
    """What it is, and what is wrong with it: `csv/cut`."""
    write: Callable[[Path], None]
    """Makes the input in an empty folder."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Without FINETUNE_; `{folder}` stands for the folder. DATA__TRAIN is all of it by default."""
    command: str = "rows"
    """`rows` reads and cleans; `config` shows the settings."""


Cases = Iterator[Case]


Content = bytes | str | Callable[[], bytes]
"""Of a file, or what makes it where it is large; in text, lone surrogates stand for bytes."""


def file(name: str, content: Content) -> Callable[[Path], None]:
    """Writes one file."""

    def write(folder: Path) -> None:
        data = content if isinstance(content, bytes | str) else content()
        data = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
        (folder / name).write_bytes(data)

    return write


def damaged(content: bytes, seed: int) -> bytes:
    """The content with some bytes changed, the same ones for a seed."""
    from random import Random

    random, changed = Random(seed), bytearray(content)
    for _ in range(1 + len(changed) // 500):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)
