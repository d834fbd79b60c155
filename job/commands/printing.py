"""What a command says outside of the log: nothing secret, in any encoding, and to a reader who may have left."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TextIO

from job.redaction import redact


def answer(text: str) -> None:
    """Print what was asked for."""
    _print(text, sys.stdout)


def complain(text: str) -> None:
    """Say what went wrong."""
    _print(text, sys.stderr)


def _print(text: str, stream: TextIO | None) -> None:
    if stream is None:  # it was closed before this process began
        return
    encoding = stream.encoding or "utf-8"
    shown = redact(text).encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(shown, file=stream, flush=True)
    except BrokenPipeError:  # as `| head` closes it, who has read enough
        # what is still in the stream's buffer is written when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def when(seconds: float | None) -> str | None:
    """A time, in seconds since 1970, as people read it; None where there is none."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under their columns' names, as wide as the terminal; what is too long is folded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        drawn.add_column(name, overflow="fold")
    for cells in rows:
        shown = ("".join(c if c.isprintable() else "?" for c in cell) for cell in cells)
        drawn.add_row(*(Text(cell) for cell in shown))
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
