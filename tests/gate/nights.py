"""Nights of a retrained classifier as far as its data goes: prepared in this process, and promoted or not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from job import prepare, tasks
from job.data.arrow import stream
from job.data.artifacts import GATE, CleanRows, Dataset, Split
from job.gate import growth, parts, rows
from job.gate.rows import GateRows
from job.registry.champion import Champion
from job.settings import Clean, Data, Evaluate, Settings
from job.stages import encode
from job.stages.clean import NOTHING
from job.stages.clean.splits import HeldBack
from job.stages.fetch import resolve_inputs
from job.store import Store, open_store
from tests.support.samples import settings_of
from tests.support.tokenizers import tokenizers

Row = Mapping[str, Any]


@dataclass
class Night:
    """A night's settings, its rows, and the data set that became of them."""

    name: str
    settings: Settings
    cleaned: CleanRows
    dataset: Dataset

    def texts(self, *splits: Split) -> list[str]:
        """The texts of some splits as they were given, in the files' order within a split."""
        return [row["text"] for row in self.given(*splits)]

    def given(self, *splits: Split) -> list[Row]:
        """The rows of some splits as they were given."""
        found = []
        for split in splits:
            for row in self._written(split):
                line = Path(self.cleaned.files[row["__file"]]).read_text().splitlines()
                found.append(json.loads(line[row["__line"] - 1]))
        return found

    def dropped(self, split: Split = "train") -> Mapping[str, int]:
        """How many rows were dropped, by reason."""
        counts: Mapping[str, int] = self.cleaned.profile["splits"][split]["dropped"]
        return counts

    def _written(self, split: Split) -> Sequence[Row]:
        path = self.dataset.folder / f"{split}.cleaned.arrow"
        return read(path) if path.exists() else []


@dataclass
class Nights:
    """A model's nights, one after the other."""

    folder: Path
    champion: Champion = field(default_factory=Champion)
    _count: Any = field(default_factory=itertools.count)

    @property
    def store(self) -> Store:
        """Where the gate lies."""
        return open_store(str(self.folder / "store"))

    def night(
        self,
        train: Sequence[Row],
        validation: Sequence[Row] = (),
        test: Sequence[Row] = (),
        *,
        data: Mapping[str, Any] | None = None,
        clean: Mapping[str, Any] | None = None,
        slices: Sequence[str] = (),
        promoted: bool = True,
    ) -> Night:
        """Prepare a night's data set; and add its rows to the gate, where the challenger is promoted."""
        folder = self.folder / f"night-{next(self._count)}"
        folder.mkdir()
        splits = {"train": train, "validation": validation, "test": test}
        files = {
            name: written(folder / f"{name}.jsonl", rows) for name, rows in splits.items() if rows
        }
        settings = settings_of(
            name="m",
            data=Data(**{**files, **(data or {})}),
            clean=Clean(**(clean or {})),
            evaluate=Evaluate(slices=tuple(slices)),
        )
        made = self._prepared(settings, folder)
        if promoted:
            self.promote(made, folder.name)
        return made

    def promote(self, night: Night, version: str) -> str | None:
        """What becomes of a night's rows when its challenger is promoted."""
        judging = [p for p in self.champion.gate if p not in self.champion.withdrawn]
        scratch = self.folder / "scratch" / version
        part = growth.commit_part(
            self.store, night.settings, version, night.dataset, judging, scratch
        )
        if part:
            self.champion = replace(self.champion, gate=[*self.champion.gate, part])
        return part

    def judging(self, settings: Settings, seen: HeldBack = NOTHING) -> GateRows:
        """The rows that judge a challenger with these settings."""
        scratch = self.folder / f"judging-{next(self._count)}"
        found = rows.judging(self.store, "m", self.champion, settings, scratch, seen)
        assert found is not None
        return found

    def held_back(self, settings: Settings) -> HeldBack:
        """What the gate keeps out of training."""
        task = tasks.create(settings)
        scratch = self.folder / f"gate-{next(self._count)}"
        return parts.held_back(self.store, "m", self.champion.gate, settings, task, scratch)

    def _prepared(self, settings: Settings, folder: Path) -> Night:
        task, held = tasks.create(settings), self.held_back(settings)
        inputs = resolve_inputs(settings.data)
        cleaned = prepare.rows(settings, task, inputs, folder, held_back=held)
        dataset = Dataset(f"data set of {folder.name}", folder / "dataset", cleaned.profile)
        for split, path in cleaned.tables.items():
            (dataset.folder / f"{split}.cleaned.arrow").parent.mkdir(exist_ok=True)
            (dataset.folder / f"{split}.cleaned.arrow").write_bytes(path.read_bytes())
        encoder = encode.Encoder(tokenizers()[0], 32, ())
        encode.encode(cleaned, task, encoder, dataset.folder)
        assert (dataset.folder / GATE).exists()
        return Night(folder.name, settings, cleaned, dataset)


def written(path: Path, rows: Sequence[Row]) -> str:
    """Rows as a file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of an Arrow stream."""
    return [row for batch in stream(path) for row in batch.to_pylist()]
