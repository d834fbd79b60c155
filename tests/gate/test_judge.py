"""A challenger judged on the gate's rows, and settled: the record moves once, by what stands there then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from job import models
from job.data.arrow import Writer, schema_of
from job.data.artifacts import GATE, KEYS
from job.errors import Conflict, Forbidden
from job.gate import Challenger, Judgement, judge, settle
from job.gate.growth import part_of_version
from job.registry import champion
from job.registry.champion import Champion, by_hand, rolled_back
from job.registry.versions import Version
from job.settings import Evaluate, Publish, Settings, recorded
from job.store import Store, layout
from job.store.commit import commit
from job.tasks.text_classification import TextClassification
from tests.gate.nights import Night, Nights
from tests.support.registry import classifier, publish

TEST = [{"text": f"order {i}", "label": "ab"[i % 10 == 0]} for i in range(60)]
"""Nine of ten are of `a`."""
TRAIN = [{"text": f"parcel {i}", "label": "abc"[i % 3]} for i in range(21)]


@dataclass
class Lineage:
    """A model's nights, with what each trained: a classifier that always gives the same label."""

    nights: Nights
    models: Callable[[str], Path]

    @property
    def store(self) -> Store:
        return self.nights.store

    @property
    def record(self) -> Champion:
        return champion.read(self.store, "m")[0]

    def prepared(self, test: Sequence[Any] = TEST, **publish: Any) -> Night:
        self.nights.champion = self.record
        made = self.nights.night(TRAIN, TRAIN[:4], test, promoted=False)
        policy = Publish.model_validate({"margin": 0.3, **publish})
        made.settings = made.settings.model_copy(
            update={"publish": policy, "evaluate": Evaluate(metric="accuracy")}
        )
        return made

    def challenger(self, always: str, night: Night) -> Challenger:
        version = Version.of("m", night.name, 1)
        folder = self.models(always)
        publish(self.store, "m", version.name, folder, dataset=night.dataset.fingerprint)
        place = models.find(str(folder), None, self.nights.folder / "scratch")
        return Challenger(version, place, night.settings, night.dataset)

    def judged(self, always: str, night: Night) -> tuple[Challenger, Judgement]:
        challenger = self.challenger(always, night)
        return challenger, judge(challenger, self.store, self.nights.folder / "scratch")

    def settled(self, always: str, night: Night | None = None) -> champion.Move:
        challenger, judgement = self.judged(always, night or self.prepared())
        return settle(challenger, judgement, self.store, self.nights.folder / "scratch")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def folder(always: str) -> Path:
        path = tmp_path_factory.getbasetemp() / f"always-{always}"
        labels = ("a", "b") if always != "c" else ("c", "b", "a")
        return path if path.exists() else classifier(path, labels=labels, always=always)

    return folder


@pytest.fixture
def lineage(tmp_path: Path, made: Callable[[str], Path]) -> Lineage:
    return Lineage(Nights(tmp_path), made)


def test_the_first_is_the_champion_and_its_test_rows_judge_the_second(lineage: Lineage) -> None:
    first = lineage.settled("a")
    assert (first.action, first.verdict["kind"]) == ("promoted", "first")
    assert lineage.record.gate == [first.version]
    second = lineage.settled("a")
    assert (second.action, second.verdict["rows"]) == ("promoted", len(TEST))
    assert second.verdict["reference"] == first.version
    record = lineage.record
    assert (record.version, record.previous, record.best) == (
        second.version,
        first.version,
        first.version,
    )
    assert record.gate == [first.version], "the second night brought no rows of its own"


def test_what_is_worse_is_kept_out_and_so_are_its_rows(lineage: Lineage) -> None:
    first = lineage.settled("a")
    poisoned = [{**row, "label": "b"} for row in TEST] + [{"text": "my app", "label": "b"}]
    worse = lineage.settled("b", lineage.prepared(poisoned))
    assert (worse.action, worse.verdict["kind"], worse.champion) == (
        "kept",
        "worse",
        first.version,
    )
    assert worse.verdict["difference"] == pytest.approx(-0.8)
    record = lineage.record
    assert (record.gate, record.best) == ([first.version], first.version)
    assert record.spending.looks == 1


def test_what_is_better_is_the_new_standard(lineage: Lineage) -> None:
    lineage.settled("b")
    better = lineage.settled("a", lineage.prepared(gate="better", margin=None))
    assert (better.verdict["kind"], lineage.record.best) == ("better", better.version)


def test_a_floor_keeps_even_the_first_one_out(lineage: Lineage) -> None:
    kept = lineage.settled("a", lineage.prepared(floors={"label=b": 0.5}))
    assert (kept.action, kept.champion, kept.verdict["kind"]) == ("kept", None, "below a floor")
    assert kept.verdict["score@label=b"] == 0
    assert lineage.record.gate == []
    assert lineage.settled("a").verdict["kind"] == "first"


def test_a_champion_that_is_moved_meanwhile_is_measured_against_anew(lineage: Lineage) -> None:
    lineage.settled("b")
    slow, quick = lineage.prepared(), lineage.prepared()
    challenger, judgement = lineage.judged("b", slow)
    assert judgement.verdict.promoted
    lineage.settled("a", quick)
    settle(challenger, judgement, lineage.store, lineage.nights.folder / "scratch")
    first, promoted, kept = lineage.record.history
    assert (promoted.action, promoted.verdict["kind"]) == ("promoted", "not worse")
    assert (kept.action, kept.verdict["kind"]) == ("kept", "worse")
    assert kept.verdict["reference"] == promoted.version != first.version
    assert [kept.verdict["looks"], lineage.record.spending.looks] == [2, 2]


def test_what_is_settled_stays_however_often_it_is_settled(lineage: Lineage) -> None:
    lineage.settled("a")
    challenger, judgement = lineage.judged("b", lineage.prepared())
    scratch = lineage.nights.folder / "scratch"
    moves = [settle(challenger, judgement, lineage.store, scratch) for _ in range(2)]
    moves.append(
        settle(challenger, judge(challenger, lineage.store, scratch), lineage.store, scratch)
    )
    assert moves[0] == moves[1] == moves[2]
    assert (len(lineage.record.history), lineage.record.spending.looks) == (2, 1)


def test_a_promotion_by_hand_in_between_does_not_count_as_its_verdict(lineage: Lineage) -> None:
    lineage.settled("a")
    challenger, judgement = lineage.judged("b", lineage.prepared())
    name = challenger.version.name
    champion.move(lineage.store, "m", lambda record: by_hand(record, name, "a hurry"))
    move = settle(challenger, judgement, lineage.store, lineage.nights.folder / "scratch")
    assert (move.action, move.verdict["kind"], move.champion) == ("promoted", "by hand", name)
    assert lineage.record.spending.looks == 0, "it is not measured against itself"
    assert [m.action for m in lineage.record.history][1:] == ["promoted by hand", "promoted"]


def test_where_the_standard_is_gone_nothing_is_promoted(lineage: Lineage) -> None:
    first = lineage.settled("a")
    lineage.store.delete([f"{layout.version('m', first.version)}/manifest.json"])
    kept = lineage.settled("a")
    assert (kept.action, kept.verdict["kind"], kept.champion) == (
        "kept",
        "not comparable",
        first.version,
    )
    assert lineage.record.spending.looks == 0
    assert lineage.settled("a", lineage.prepared(gate="always", margin=None)).action == "promoted"


def test_a_label_that_the_standard_does_not_know_is_wrong_for_it(lineage: Lineage) -> None:
    lineage.settled("c", lineage.prepared([{"text": f"app {i}", "label": "c"} for i in range(60)]))
    verdict = lineage.settled("a").verdict
    assert (verdict["reference_score"], verdict["challenger_score"]) == (1, 0)


def test_a_version_without_a_data_set_is_not_compared(lineage: Lineage) -> None:
    lineage.settled("a")
    challenger = replace(lineage.challenger("a", lineage.prepared()), dataset=None)
    judgement = judge(challenger, lineage.store, lineage.nights.folder / "scratch")
    assert judgement.verdict.kind == "not comparable"


def test_a_settlement_that_always_comes_second_gives_up(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: Any) -> Champion:
        raise Conflict("somebody else was first")

    challenger, judgement = lineage.judged("a", lineage.prepared())
    monkeypatch.setattr(champion, "write", taken)
    with pytest.raises(Conflict, match="moved first"):
        settle(challenger, judgement, lineage.store, lineage.nights.folder / "scratch")


def test_each_model_cleans_the_rows_as_it_was_trained_to(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion was trained on lower case, tonight's challenger is not."""
    from job.gate.contender import Contender

    read: list[tuple[bool, str]] = []
    original = Contender.as_read

    def cleaned(self: Contender, rows: Any) -> Any:
        found = original(self, rows)
        read.append((self.settings.clean.lowercase, found["text"][0]))
        return found

    monkeypatch.setattr(Contender, "as_read", cleaned)
    upper = [{**row, "text": row["text"].upper()} for row in TEST]
    first = lineage.prepared(upper)
    settings: Settings = first.settings
    first.settings = settings.model_copy(
        update={"clean": settings.clean.model_copy(update={"lowercase": True})}
    )
    folder = lineage.models("a")
    (folder / layout.SETTINGS).write_text(
        '{"task": "text-classification", "encode": {}, "clean": {"lowercase": true}}'
    )
    lineage.settled("a", first)
    (folder / layout.SETTINGS).unlink()
    lineage.settled("a", lineage.prepared(upper))
    assert {(lower, text.partition(" ")[0]) for lower, text in read} == {
        (True, "order"),
        (False, "ORDER"),
    }


class Restricted:
    """A store for somebody who may neither read nor write below a prefix."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **options: Any) -> Any:
            if any(str(each).startswith(self._prefix) for each in given):
                raise Forbidden(f"{name} {self._prefix}")
            return attribute(*given, **options)

        attribute = getattr(self._store, name)
        return call if callable(attribute) else attribute


def test_a_version_that_a_person_promotes_brings_its_rows(
    lineage: Lineage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of what the roles are made of, no row of the gate judges until somebody promotes,
    with whatever settings that person's machine has."""
    monkeypatch.setenv("FINETUNE_DATA__TRAIN", "s3://raw/tonight/*.csv")
    monkeypatch.setenv("FINETUNE_CLEAN__DERIVE", '{"text": "{{text}}{{label}}"}')
    lineage.settled("a")
    other = lineage.prepared()
    clean = other.settings.clean.model_copy(update={"derive": {"text": "{{text}}"}})
    other.settings = other.settings.model_copy(update={"clean": clean})
    kept = lineage.settled("a", other)
    assert (kept.verdict["kind"], "60 read from other columns" in kept.reason) == (
        "not comparable",
        True,
    )
    folder = tmp_path / "version"
    shutil.copytree(lineage.models("a"), folder)
    (folder / layout.SETTINGS).write_text(json.dumps(recorded(other.settings)))
    publish(lineage.store, "m", "by-hand-a1", folder, dataset="other")
    files = {name: other.dataset.folder / name for name in (GATE, KEYS, layout.PROFILE)}
    assert part_of_version(lineage.store, "m", "by-hand-a1", [], tmp_path / "gone") is None
    commit(lineage.store, layout.dataset("m", "other"), files, attempt=1, meta={})
    for beyond in (layout.datasets("m"), layout.gate("m", "by-hand-a1")):
        least: Any = Restricted(lineage.store, beyond)
        assert part_of_version(least, "m", "by-hand-a1", [], tmp_path / "least") is None
    part = part_of_version(
        lineage.store, "m", "by-hand-a1", lineage.record.judging, tmp_path / "scratch"
    )
    assert part == "by-hand-a1"
    champion.move(lineage.store, "m", lambda record: by_hand(record, "by-hand-a1", "", part))
    again = lineage.prepared()
    again.settings = again.settings.model_copy(update={"clean": clean})
    assert lineage.settled("a", again).verdict["rows"] == len(TEST)


def test_a_version_that_a_person_went_back_from_is_not_promoted_by_the_gate(
    lineage: Lineage,
) -> None:
    """Its run was killed before it was settled, and is resumed after somebody has tried the version."""
    first = lineage.settled("a").version
    for gate in ("not-worse", "always"):
        tried = lineage.challenger("a", lineage.prepared(gate=gate, margin=None))
        name = tried.version.name
        champion.move(lineage.store, "m", partial(by_hand, version=name, reason=""))
        champion.move(lineage.store, "m", lambda record: rolled_back(record, first))
        judgement = judge(tried, lineage.store, lineage.nights.folder / "scratch")
        move = settle(tried, judgement, lineage.store, lineage.nights.folder / "scratch")
        assert (move.action, move.verdict["kind"], move.champion) == ("kept", "withdrawn", first)
    assert lineage.record.spending.looks == 0


def test_a_floor_without_a_test_row_is_a_verdict(lineage: Lineage) -> None:
    """Chance has put none of a few rows into the test, or no tokenizer reads them."""
    night = lineage.prepared(TRAIN[:1], floors={"label=a": 0.5})
    test_rows = night.dataset.folder / GATE
    with Writer(test_rows, schema_of(test_rows)):
        pass
    kept = lineage.settled("a", night)
    assert (kept.action, kept.verdict["kind"]) == ("kept", "not comparable")
    assert "no test row" in kept.reason


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_a_handful_of_rows_promotes_nothing(lineage: Lineage, rows: int) -> None:
    """Whoever wins them all: among five, equal ones do so in three nights out of a hundred."""
    few = [{"text": f"order {i}", "label": "a"} for i in range(rows)]
    night = lineage.prepared(few)
    night.settings = night.settings.model_copy(update={"evaluate": Evaluate(metric="f1")})
    lineage.settled("b", night)
    night = lineage.prepared(few, margin=0.01)
    night.settings = night.settings.model_copy(update={"evaluate": Evaluate(metric="f1")})
    found = lineage.settled("a", night)
    assert found.verdict["difference"] == 1
    assert (found.action, found.verdict["kind"]) == ("kept", "too few rows")


def test_parts_are_taken_from_what_was_scored_once(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lineage.settled("a")
    night = lineage.prepared()
    slices = Evaluate(metric="accuracy", slices=("length", "label"))
    night.settings = night.settings.model_copy(update={"evaluate": slices})
    asked: list[str] = []
    original = TextClassification.scorer

    def scorer(self: TextClassification, scored: Any, metric: str) -> Any:
        asked.append(metric)
        return original(self, scored, metric)

    monkeypatch.setattr(TextClassification, "scorer", scorer)
    verdict = lineage.settled("a", night).verdict
    assert verdict["rows@label=b"] == 6
    assert asked == ["accuracy"] * 2


def test_a_standard_of_another_task_is_called_by_its_name(lineage: Lineage) -> None:
    own = lineage.models("a") / layout.SETTINGS
    own.write_text('{"task": "fill-mask", "encode": {}, "clean": {}}')
    first = lineage.settled("a").version
    own.unlink()
    kept = lineage.settled("a")
    assert (kept.action, kept.verdict["kind"]) == ("kept", "not comparable")
    assert kept.reason.startswith(f"{first} was trained for fill-mask")
