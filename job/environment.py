"""The variables that the job and its libraries read, as `echo` and Secrets leave them, and as they should be."""

from __future__ import annotations

from collections.abc import Mapping

OURS = "FINETUNE_"
LIBRARIES = ("AWS_", "HF_", "HUGGING_FACE_")
"""How the variables begin that the libraries read by themselves."""


def without_line_end(value: str) -> str:
    """The value without a line end at its end, which is `echo`'s, and never meant."""
    return value.rstrip("\r\n")


def line_ends(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that end in a line end, as they are without it."""
    return {
        name: without_line_end(value)
        for name, value in environment.items()
        if name.startswith((OURS, *LIBRARIES)) and value != without_line_end(value)
    }
