"""What a command says outside of the log: nothing secret, in any encoding, and to a reader who may have left."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from job.redaction import redact
from job.text import moment

GAP = 2
"""Spaces between the columns of a table."""


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


def on_one_line(text: str) -> str:
    """A text of somebody else's, without what would move a terminal's cursor or clear it."""
    return "".join(char if char.isprintable() else "?" for char in text)


def when(seconds: float | None) -> str | None:
    """A time, in seconds since 1970, as people read it; None where there is none."""
    return moment(seconds) if seconds else None


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under their columns' names, as wide as the terminal: the last cell of a row is cut to what is
    left of it, and a first one that is too long is folded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    shown = [[on_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(columns, *shown, strict=True)]
    left = max(len(columns[-1]), console.width - sum(widths[:-1]) - GAP * (len(columns) - 1))
    drawn = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="")
    for number, name in enumerate(columns):
        drawn.add_column(name, overflow="fold", no_wrap=number > 0)
    for *cells, last in shown:
        cut = last if len(last) <= left else f"{last[: left - 2]}.."
        drawn.add_row(*map(Text, [*cells, cut]))
    with console.capture() as capture:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
