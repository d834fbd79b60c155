"""`make bench-tasks`, or `python -m tests.bench.tasks NAME …` for some of the experiments."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.tasks.running import say
from tests.support.samples import SHARED

EXPERIMENTS = ("tokenizers", "by_heart", "causal", "masked", "wnut17", "xquad")


def main() -> None:
    """Run the experiments one after the other; each says its figures in lines of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(EXPERIMENTS))
    parser.add_argument("--scratch", type=Path, help="keep everything that was made in this folder")
    given = parser.parse_args()
    if not SHARED.is_dir():
        sys.exit(f"the data sets are not in {SHARED}")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names or EXPERIMENTS:
            start = time.monotonic()
            experiment = importlib.import_module(f"tests.bench.tasks.{name}")
            experiment.main((given.scratch or Path(folder)) / name)
            say(name, seconds=time.monotonic() - start)


if __name__ == "__main__":
    main()
