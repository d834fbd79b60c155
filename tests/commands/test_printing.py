"""What commands print, to whom, and who has stopped listening."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.samples import ROOT


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell in which `finetune` is this project's."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FINETUNE_")}
    whole = {**clean, "PYTHONPATH": str(ROOT), **environment}
    line = f'finetune() {{ "{sys.executable}" -m job "$@"; }}; {script}'
    return subprocess.run(
        ["bash", "-c", line], env=whole, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", ["config", "config --reference", "config --schema", "--help"])
def test_who_has_read_enough_is_no_error(words: str) -> None:
    done = shell(f"set -o pipefail; finetune {words} | head -1 >/dev/null")
    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_listens_at_all_or_the_disk_is_full() -> None:
    assert shell("finetune config >&-").returncode == 0
    done = shell("finetune --no 2>&1 | true; exit ${PIPESTATUS[0]}")
    assert done.returncode == 78
    assert shell("finetune config >/dev/full").returncode == 75


def test_line_ends_of_secrets_are_left_out_and_named() -> None:
    done = shell(
        "finetune config | grep -a FINETUNE_OUTPUT",
        FINETUNE_OUTPUT="out\n",
        AWS_SECRET_ACCESS_KEY="a secret of AWS\n",
    )
    assert '"out"' in done.stdout
    assert "AWS_SECRET_ACCESS_KEY, FINETUNE_OUTPUT" in done.stderr
    assert "a secret of" not in done.stderr


def test_an_encoding_that_lacks_a_character() -> None:
    done = shell("finetune config", FINETUNE_ENCODE__PREFIX="é", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert '"\\xe9"' in done.stdout
