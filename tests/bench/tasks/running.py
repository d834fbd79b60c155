"""The job through its command line, each time in a store of its own, and what it left there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.support.samples import finetune

HOURS = 3600.0


@dataclass(frozen=True)
class Left:
    """The folder that a command published."""

    folder: Path
    said: str

    def file(self, name: str) -> Path:
        """A published file; an evaluation's lie below its writer's number."""
        return next(self.folder.rglob(name))

    @property
    def results(self) -> dict[str, Any]:
        """eval_results.json."""
        return dict(json.loads(self.file("eval_results.json").read_text()))

    @property
    def predictions(self) -> dict[str, list[Any]]:
        """predictions.parquet, by column."""
        return dict(pq.read_table(self.file("predictions.parquet")).to_pydict())

    @property
    def compared(self) -> dict[str, float]:
        """Rows that a fresh process ran through the published files, and the largest difference."""
        found = re.search(r'"rows_compared": (\d+), "largest_difference": ([\d.e+-]+)', self.said)
        assert found, self.said
        return {"rows_compared": int(found[1]), "largest_difference": float(found[2])}


def run(folder: Path, command: str = "run", **settings: object) -> Left:
    """`finetune COMMAND` with these settings, FINETUNE_ left out of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {f"FINETUNE_{name}": str(value) for name, value in settings.items()}
    env |= {"FINETUNE_NAME": "m", "FINETUNE_OUTPUT": str(folder / "store")}
    done = finetune(command, env=env, cwd=folder, timeout=3 * HOURS)
    (folder / f"{command}.log").write_text(done.stderr)
    if done.returncode:
        raise SystemExit(f"finetune {command} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    place = {"run": "models", "evaluate": "evaluations", "tokenizer": "tokenizers"}[command]
    (found,) = (folder / "store" / "m" / place).iterdir()
    return Left(found, done.stderr)


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def say(name: str, **figures: object) -> None:
    """One line of figures."""
    short = {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in figures.items()}
    print(json.dumps({"experiment": name, **short}), flush=True)
