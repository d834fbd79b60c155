"""`make nights`: thirty nights of retraining on real messages, some of them bad, and who was champion.

`python -m tests.faults.nights [--nights 30] [--seed 1]` starts a SeaweedFS server of its own. A night
brings its file, or nothing, or finds all files spoiled, as an export with a fault leaves them; the
next night they are whole again. Each night is `finetune run` without a run id, as a CronJob starts it.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from job.registry import champion
from job.registry.champion import Champion
from job.store import open_store
from tests.support.samples import SHARED, finetune, tiny_bert, write_csv
from tests.support.servers import seaweedfs

MESSAGES = SHARED / "sms-spam" / "sms.tsv"
GERMAN = SHARED / "multi30k" / "train.de.gz"
GOOD, QUIET = "a good night", "nothing new"
WEEK = (GOOD, GOOD, "flipped", GOOD, QUIET, "one class", GOOD, "duplicates", GOOD, "German")
"""Ten nights, over and over."""
FIRST, NIGHTLY, RESERVED = 2500, 120, 1200
"""Rows that the first night has, that each good one adds, and that no night ever sees."""
MARGIN = 0.03
BUCKET = "s3://nights"

Row = tuple[str, str]
"""Text and label."""


@dataclass(frozen=True)
class Night:
    """What a night brought, and what came of it."""

    number: int
    kind: str
    code: int
    """The exit code of its run."""
    version: str
    """What was published; empty where nothing was trained."""
    champion: str | None
    """In use when it was over."""
    verdict: dict[str, object]
    accuracy: float | None
    """Of a new champion on the rows that no night has seen."""

    @property
    def promoted(self) -> bool:
        """Whether its version is the champion now."""
        return bool(self.version) and self.version == self.champion

    @property
    def on_gate(self) -> float:
        """How much better than the best champion before it is on the gate's rows; 0 where nothing was asked."""
        difference = self.verdict.get("difference")
        return difference if isinstance(difference, float) else 0.0

    def __str__(self) -> str:
        found = [
            f"{name} {value:.4f}"
            for name in ("reference_score", "challenger_score", "lower", "alpha")
            if isinstance(value := self.verdict.get(name), float)
        ]
        said = f"rows {self.verdict['rows']}, {', '.join(found)}" if found else ""
        truth = f"{self.accuracy:.4f}" if self.accuracy is not None else ""
        became = "promoted" if self.promoted else "kept" if self.version else ""
        kind = str(self.verdict.get("kind", ""))
        return f"{self.number:>2}  {self.kind:<12} {self.code:>3}  {became:<8}  {kind:<14} {truth:<6}  {said}"


def main() -> None:
    """Live the nights, and print what became of each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if not MESSAGES.exists():
        sys.exit(f"{MESSAGES} is not here")
    with tempfile.TemporaryDirectory() as name, seaweedfs(Path(name, "s3")) as server:
        os.environ.update(server.env)
        server.create_bucket(BUCKET.removeprefix("s3://"))
        lived = []
        print(
            "    night       exit  its version, and why       accuracy on rows that no night sees; the gate"
        )
        for night in nights(Path(name), BUCKET, given.nights, given.seed):
            print(night, flush=True)
            lived.append(night)
    if wrong := faults(lived):
        sys.exit("\n".join(wrong))


def nights(folder: Path, bucket: str, count: int, seed: int) -> Iterator[Night]:
    """Nights, one after the other, with a model in `folder` and the files and the store in `bucket`."""
    years = Years(folder, bucket, seed)
    for number in range(count):
        yield years.night(number, WEEK[number % len(WEEK)])


def faults(lived: Sequence[Night]) -> list[str]:
    """What should not have happened."""
    wrong, best = [], 0.0
    for night in lived:
        if night.kind == QUIET and night.version:
            wrong.append(f"night {night.number} trained though there was nothing new")
        if night.kind not in (GOOD, QUIET) and night.promoted:
            wrong.append(f"night {night.number} ({night.kind}) is champion")
        if night.code not in (0, 65) or (night.code and night.kind in (GOOD, QUIET)):
            wrong.append(f"night {night.number} ({night.kind}) ended with {night.code}")
        if night.promoted and night.on_gate < -MARGIN:
            wrong.append(
                f"night {night.number} is champion, and worse on the gate by {night.on_gate}"
            )
        if night.accuracy is not None:
            if night.accuracy < best - MARGIN:
                wrong.append(f"night {night.number}: {night.accuracy} after {best}")
            best = max(best, night.accuracy)
    if sum(night.promoted for night in lived) < 2:
        wrong.append("no night but the first made a champion")
    return wrong


class Years:
    """A model's life: its files, its store, and what it is started with."""

    def __init__(self, folder: Path, bucket: str, seed: int) -> None:
        self._folder, self._bucket, self._chance = folder, bucket, random.Random(seed)
        self._store = open_store(f"{bucket}/models")
        self._raw = open_store(f"{bucket}/raw")
        lines = MESSAGES.read_text(encoding="utf-8").splitlines()
        rows = [(text, label) for label, _, text in (line.partition("\t") for line in lines)]
        self._chance.shuffle(rows)
        self._rows, self._seen = rows[RESERVED:], 0
        self._files: dict[str, list[Row]] = {}
        tiny_bert(folder / "bert", [text for text, _ in rows])
        self._put("reserve.csv", rows[:RESERVED])
        self._spoilt: dict[str, Callable[[list[Row]], list[Row]]] = {
            "flipped": self._flipped,
            "one class": lambda rows: [row for row in rows if row[1] == "ham"],
            "duplicates": self._duplicates,
            "German": self._german,
        }

    def night(self, number: int, kind: str) -> Night:
        """Let it be night."""
        if kind == GOOD:
            size = NIGHTLY if self._seen else FIRST
            self._files[f"night-{number:02}.csv"] = self._rows[self._seen : self._seen + size]
            self._seen += size
        spoil = self._spoilt.get(kind, lambda rows: rows)
        for name, rows in self._files.items():
            self._put(f"nights/{name}", spoil(rows))
        before = self._versions()
        done = finetune("run", env=self._env(), cwd=self._folder, timeout=600)
        if done.returncode not in (0, 65):
            print(done.stderr, file=sys.stderr)
        version = next(iter(self._versions() - before), "")
        record: Champion = champion.read(self._store, "sms")[0]
        moves = [move for move in record.history if version and move.version == version]
        verdict = dict(moves[-1].verdict) if moves else {}
        new = bool(version) and record.version == version
        accuracy = self._accuracy(version) if new else None
        return Night(number, kind, done.returncode, version, record.version, verdict, accuracy)

    def _accuracy(self, version: str) -> float:
        """What a version is worth, by rows that no night has seen."""
        model = f"{self._bucket}/models/sms/models/{version}"
        given = {"FINETUNE_MODEL__NAME": model, "FINETUNE_NAME": "truth"}
        given |= {"FINETUNE_OUTPUT": f"{self._bucket}/models"}
        given |= {"FINETUNE_DATA__TEST": f"{self._bucket}/raw/reserve.csv"}
        done = finetune("evaluate", env=given, cwd=self._folder)
        line = next(line for line in done.stdout.splitlines() if line.startswith("test_accuracy"))
        return float(line.split()[-1])

    def _env(self) -> dict[str, str]:
        given = {
            "NAME": "sms",
            "OUTPUT": f"{self._bucket}/models",
            "DATA__TRAIN": f"{self._bucket}/raw/nights/*.csv",
            "DATA__TEST_FRACTION": "0.3",
            "MODEL__NAME": str(self._folder / "bert"),
            "TRAIN__MAX_STEPS": "150",
            "TRAIN__LEARNING_RATE": "3e-3",
            "EVALUATE__METRIC": "accuracy",
            "EVALUATE__EVERY_STEPS": "75",
            "PUBLISH__MARGIN": str(MARGIN),
        }
        return {f"FINETUNE_{name}": value for name, value in given.items()}

    def _versions(self) -> set[str]:
        return {
            item.key.split("/")[2]
            for item in self._store.list("sms/models/")
            if item.key.endswith("/manifest.json")
        }

    def _put(self, key: str, rows: list[Row]) -> None:
        self._raw.upload(write_csv(self._folder / "rows.csv", rows), key)

    def _flipped(self, rows: list[Row]) -> list[Row]:
        other = {"ham": "spam", "spam": "ham"}
        return [
            (text, other[label] if self._chance.random() < 0.3 else label) for text, label in rows
        ]

    def _duplicates(self, rows: list[Row]) -> list[Row]:
        """A few messages, two hundred times each, in place of all others."""
        few = rows[:30] if len(rows) == FIRST else rows[:1]
        return [row for row in few for _ in range(200)]

    def _german(self, rows: list[Row]) -> list[Row]:
        """Captions of pictures under the labels of the messages whose place they take."""
        with gzip.open(GERMAN, "rt", encoding="utf-8") as file:
            captions = [line.strip() for line in file]
        return [(self._chance.choice(captions), label) for _, label in rows]


if __name__ == "__main__":
    main()
