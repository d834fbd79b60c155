"""Which data set a run trains on, as the gate grows: prepared by the real command, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from job import pipeline
from job.commands.check import plan
from job.data.artifacts import GATE, KEY, KEYS, Dataset
from job.demo import tickets
from job.gate.growth import commit_part
from job.registry import champion
from job.runtime.stop import StopSignal
from job.settings import Settings, load
from job.stages.clean.splits import key_of
from job.store import Store, layout, open_store
from job.store.commit import fetch
from tests.gate.nights import read
from tests.support.samples import tiny_bert, write_csv


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


class Runs:
    """Runs of one model over files that change."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.model = tiny_bert(folder / "model", [text for text, _ in tickets(60)])

    def settings(self, run: str, rows: int, test: float) -> Settings:
        data = write_csv(self.folder / f"{rows}.csv", tickets(rows))
        given = {"NAME": "m", "RUN_ID": run, "OUTPUT": self.store.uri, "DATA__TRAIN": data}
        given |= {"DATA__TEST_FRACTION": test, "MODEL__NAME": self.model}
        given |= {"RUNTIME__SCRATCH": self.folder / "scratch"}
        return load({f"FINETUNE_{name}": str(value) for name, value in given.items()}, []).settings

    def prepared(self, settings: Settings) -> str:
        """The fingerprint of the data set that a run, new or begun before, trains on."""
        result = pipeline.prepare_only(settings, StopSignal(30))
        return str(result.facts["dataset"]).rpartition("/")[2]

    def gate(self, run: str) -> list[str]:
        """The parts that a run holds back."""
        frozen = json.loads(self.store.get(f"{layout.run('m', run)}/{layout.INPUTS}"))
        return list(frozen["gate"])

    def dataset(self, fingerprint: str) -> Dataset:
        folder = self.folder / fingerprint
        fetch(self.store, layout.dataset("m", fingerprint), folder)
        profile = json.loads((folder / layout.PROFILE).read_text())
        return Dataset(fingerprint, folder, profile)

    def promote(self, settings: Settings, fingerprint: str) -> None:
        """As the run's end would: its rows become a part, which champion.json lists."""
        before, tag = champion.opened(self.store, "m")
        dataset, version = self.dataset(fingerprint), f"{settings.run_id}-a1"
        part = commit_part(self.store, settings, version, dataset, before.gate, self.folder)
        move = champion.Move(version, "promoted")
        after = champion.judged(before, move, version, part, before.spending)
        champion.write(self.store, "m", after, tag)


def test_the_gate_decides_the_data_set_but_for_the_one_it_came_from(
    tmp_path: Path, store: Store
) -> None:
    runs = Runs(tmp_path, store)
    first = runs.settings("one", 60, 0.3)
    one = runs.prepared(first)
    runs.promote(first, one)
    # begun before, and begun anew: the same rows, which hold out what the gate holds back
    assert (runs.prepared(first), runs.gate("one")) == (one, [])
    again = runs.settings("again", 60, 0.3)
    assert (runs.prepared(again), runs.gate("again")) == (one, ["one-a1"])

    second = runs.settings("two", 90, 0.1)
    two = runs.prepared(second)
    before, now = runs.dataset(one), runs.dataset(two)
    gate, tested = ({row[KEY] for row in read(d.folder / GATE)} for d in (before, now))
    learned = {row[KEY] for row in read(now.folder / KEYS)}
    assert learned and not learned & gate
    held_back = [text for text, _ in tickets(90) if key_of(text) in gate - tested]
    dropped = now.profile["splits"]["train"]["dropped"]
    assert held_back and dropped["in the gate"] == len(held_back)
    trained_on = next(line for line in plan(second) if line.startswith("rows       train"))
    assert f"0 are bad, {sum(dropped.values())} dropped" in trained_on
    # what others add meanwhile is nothing to a run that has begun
    other = runs.settings("other", 120, 0.3)
    runs.promote(other, runs.prepared(other))
    assert (runs.prepared(second), runs.gate("two")) == (two, ["one-a1"])
    fresh = runs.settings("fresh", 90, 0.1)
    assert runs.prepared(fresh) != two and runs.gate("fresh") == ["one-a1", "other-a1"]
