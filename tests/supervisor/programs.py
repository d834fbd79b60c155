"""Workers for tests: shell scripts in the place of Python, which the supervisor starts like its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

PRELUDE = """#!/bin/sh
# as the supervisor calls it: python -m job worker OUTCOME COMMAND
outcome=$4
"""


def workers_run(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every worker run a shell script, which may write to `$outcome`."""
    program = folder / "worker.sh"
    program.write_text(PRELUDE + script)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
