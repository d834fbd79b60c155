"""What a command says outside of the log: nothing secret, in any encoding, and to a reader who may have left."""

from __future__ import annotations

import os
import sys
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
