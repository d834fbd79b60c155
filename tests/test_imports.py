"""The import contract in pyproject.toml holds what it says: what must break it does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.samples import ROOT


def contract(folder: Path) -> subprocess.CompletedProcess[str]:
    """`make imports`, on a copy of the code."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The code and its contract; no more is needed to read the imports."""
    shutil.copytree(ROOT / "job", tmp_path / "job", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_it_is_kept(copy: Path) -> None:
    assert contract(copy).returncode == 0


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("prepare/__init__.py", "import boto3", "one room a system: S3"),
        ("launch/follow.py", "import kubernetes", "one room a system: the cluster"),
        ("odds_and_ends.py", "", "has its place"),
        ("stages/clean/text.py", "from job.stages import fetch", "stages do not know each other"),
        ("stages/new.py", "from job.stages import evaluate", "stages do not know each other"),
        ("data/arrow.py", "from job import runs", "imports point downward"),
        ("settings/names.py", "import torch", "imports nothing heavy"),
    ],
)
def test_a_stray_import_and_an_unplaced_module_break_it(
    copy: Path, file: str, line: str, broken: str
) -> None:
    path = copy / "job" / file
    text = path.read_text() if path.exists() else '"""New."""\n'
    path.write_text(f"{text}\n{line}\n")
    done = contract(copy)
    assert done.returncode == 1
    assert broken in done.stdout
