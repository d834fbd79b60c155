"""Work that makes no progress ends its process."""

from __future__ import annotations

import subprocess
import sys

from tests.support.samples import ROOT


def test_a_step_that_makes_no_progress_ends_the_process_with_its_stacks() -> None:
    program = (
        "import time; from job.runtime.watchdog import Watchdog\n"
        "def stuck(): time.sleep(60)\n"
        "dog = Watchdog(0.3)\n"
        "with dog.watching('step 6'):\n"
        "    for _ in range(8): time.sleep(0.1); dog.beat()\n"
        "with dog.watching('step 7'): stuck()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=50, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 75
    assert "step 7 has made no progress for 0.3 s" in done.stderr
    assert "in stuck" in done.stderr
