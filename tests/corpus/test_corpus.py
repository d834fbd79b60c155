"""No input ends with a bug, a traceback, a signal, too late or too large."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.corpus.__main__ import cases
from tests.support.samples import ROOT


def corpus(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_broken_input_has_a_name_of_its_own() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len(set(names)) >= 150


def test_some_broken_inputs() -> None:
    assert "none ended with a bug" in corpus("--every", "12")


@pytest.mark.slow
def test_every_broken_input() -> None:
    assert f"{len(list(cases()))}\n" in corpus()
