"""`make bench-data`: a large CSV through fetch, clean and encode; rows a second and peak memory.

The file is made of the demo's tickets and runs through `finetune prepare` as a user would start it.
`python -m tests.bench.preparation [--gigabytes 1]`
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from job.demo import model_folder, tickets


def write(path: Path, size: int) -> int:
    """A CSV of at least `size` bytes whose texts all differ; returns its rows."""
    rows, base = 0, tickets(20_000)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        while file.tell() < size:
            writer.writerows(
                (f"{text} (case {rows + i}, seen twice)", label)
                for i, (text, label) in enumerate(base)
            )
            rows += len(base)
    return rows


def main() -> None:
    """Make the file, prepare it, print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=1)
    size = int(parser.parse_args().gigabytes * 1e9)
    with tempfile.TemporaryDirectory() as folder:
        rows = write(Path(folder, "rows.csv"), size)
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FINETUNE_")},
            "FINETUNE_OUTPUT": str(Path(folder, "store")),
            "FINETUNE_DATA__TRAIN": str(Path(folder, "rows.csv")),
            "FINETUNE_MODEL__NAME": str(model_folder()),
            "FINETUNE_CLEAN__DEDUPLICATE": "true",
            "FINETUNE_RUNTIME__SCRATCH": folder,
        }
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "job", "prepare"],
            env=env,
            check=False,
            stderr=subprocess.PIPE,
            text=True,
        )
        seconds = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(done.stderr, file=sys.stderr)
        print(
            json.dumps(
                {
                    "exit": done.returncode,
                    "bytes": Path(folder, "rows.csv").stat().st_size,
                    "rows": rows,
                    "seconds": round(seconds, 1),
                    "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
                    "rows_per_second": round(rows / seconds),
                    "peak_mib": used.ru_maxrss // 1024,
                }
            )
        )


if __name__ == "__main__":
    main()
