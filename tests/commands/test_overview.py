"""`finetune status`: what the model is at, for people and for machines, also where little can be looked at."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from job.commands import status
from job.data.artifacts import Frozen
from job.errors import InputMissing, Torn
from job.launch.decision import Decision, Launched
from job.registry import champion
from job.registry.champion import Champion, Move
from job.runs.change import Basis, record_launch
from job.runs.record import Run
from job.settings import Settings, load
from job.stages.fetch import resolve_inputs
from job.store import Store, open_store

AT = 1787221800.0  # 2026-08-20T10:30:00Z


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def settings(tmp_path: Path, store: Store) -> Settings:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{name},x\n")
    return load(
        {
            "FINETUNE_OUTPUT": str(store.uri),
            "FINETUNE_NAME": "m",
            "FINETUNE_DATA__TRAIN": str(tmp_path / "*.csv"),
            "FINETUNE_TRAIN__EPOCHS": "3",
        }
    ).settings


Trained = Callable[[], None]


@pytest.fixture
def trained(settings: Settings, store: Store) -> Trained:
    """A champion, another run that was kept out, and a launcher that has skipped since."""

    def make() -> None:
        inputs = resolve_inputs(settings.data)
        run = Run.open(store, "m", "r1", settings)
        run.freeze(Frozen(inputs.files, {}))
        run.finish("done", {})
        record_launch(store, "m", "r1", Basis({}, (), (), "job:1"))
        decision = Decision("r1", "nothing has changed", skip=True, at=AT, image="job:2")
        launched = Launched("r1", "i", decision=decision)
        store.put("m/launches/team.spam.json", json.dumps(asdict(launched)).encode())
        judged = (
            Move("r1-a1", "promoted", reason="it is the first", at=AT),
            Move("r2-a1", "kept", reason="f1 0.8 is lower than 0.9", at=AT + 3600),
        )

        def decide(before: Champion) -> Champion:
            for move in judged:
                before = champion.judged(before, move, None, None, before.spending)
            return before

        champion.move(store, "m", decide)

    return make


def printed(
    capsys: pytest.CaptureFixture[str], settings: Settings, *more: str, data: bool = True
) -> str:
    arguments = ["--output", settings.output.secret, "--name", "m", *more]
    if data:
        arguments += ["--data.train", settings.data.train[0].uri.secret]
    assert status.run(arguments) == 0
    return capsys.readouterr().out


def person_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


def test_what_a_person_reads(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    store: Store,
    trained: Trained,
    tmp_path: Path,
) -> None:
    person_reads(monkeypatch)
    trained()
    (tmp_path / "c.csv").write_text("text,label\nc,x\n")
    (tmp_path / "b.csv").write_text("text,label\nother,x\n")
    (tmp_path / "a.csv").unlink()
    lines = printed(capsys, settings, "--train.epochs", "5").splitlines()
    ended = lines.pop(3)
    assert ended.startswith("trained   20")
    assert lines == [
        f"model     m in {store.uri}/m",
        "champion  r1-a1, in use since 2026-08-20T10:30:00Z, promoted: it is the first",
        "verdict   2026-08-20T11:30:00Z r2-a1 kept: f1 0.8 is lower than 0.9",
        f"changed   1 object is new ({tmp_path}/c.csv)",
        f"          1 object is no longer the same ({tmp_path}/b.csv)",
        f"          1 object is gone ({tmp_path}/a.csv)",
        "          FINETUNE_TRAIN__EPOCHS was 3.0 and is 5.0",
        "          the image was job:1 and is job:2",
        "launcher  team.spam at 2026-08-20T10:30:00Z skipped r1: nothing has changed",
        "",
        f"r1  done at {ended.split()[1]}",
    ]


def test_what_cannot_be_looked_at_is_said(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    store: Store,
    trained: Trained,
    tmp_path: Path,
) -> None:
    person_reads(monkeypatch)
    trained()
    assert "changed   not compared: FINETUNE_DATA__TRAIN is not set here" in printed(
        capsys, settings, data=False
    )
    for path in tmp_path.glob("*.csv"):
        path.unlink()
    seen = printed(capsys, settings, "--train.epochs", "5")
    assert "FINETUNE_TRAIN__EPOCHS was 3.0 and is" in seen, "the settings are compared all the same"
    assert "          the sources could not be looked at (" in seen
    store.delete(["m/runs/r1/inputs.json"])
    assert "changed   not known: the record of run r1 is gone" in printed(capsys, settings)
    champion.move(store, "m", lambda before: champion.by_hand(before, "r2-a1", ""))
    seen = printed(capsys, settings)
    assert "r2-a1, in use since" in seen
    assert "before it r1-a1, to which `finetune rollback` goes back" in seen


def test_a_machine_reads_a_line_a_run_or_one_object_with_everything(
    capsys: pytest.CaptureFixture[str], settings: Settings, trained: Trained
) -> None:
    trained()
    (line,) = printed(capsys, settings).splitlines()
    assert json.loads(line)["run_id"] == "r1"
    found: dict[str, Any] = json.loads(printed(capsys, settings, "--json", "--train.epochs", "3"))
    assert [run["run_id"] for run in found["runs"]] == ["r1"]
    assert found["champion"]["version"] == "r1-a1"
    assert found["champion"]["since"] == AT
    assert found["verdict"]["action"] == "kept"
    assert found["changes"] == {
        "new": [],
        "changed": [],
        "gone": [],
        "settings": {},
        "model": [],
        "image": {"then": "job:1", "now": "job:2"},
    }
    assert found["unseen"] is None
    assert found["launches"]["team.spam"]["decision"]["why"] == "nothing has changed"


def test_what_is_damaged_is_named_and_the_rest_is_shown(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    store: Store,
    trained: Trained,
) -> None:
    person_reads(monkeypatch)
    arguments = ["--output", settings.output.secret, "--name", "m"]
    with pytest.raises(InputMissing):
        status.run(arguments)
    trained()
    store.put("m/champion.json", b"{")
    with pytest.raises(Torn, match=r"champion\.json is not a record"):
        status.run(arguments)
    assert capsys.readouterr().out.startswith("r1  done at")
    store.delete(["m/champion.json", "m/runs/r1/state.json"])
    launched = Launched("r1", "i", decision=Decision("r1", "for\x1b[2J", at=AT))
    store.put("m/launches/team.spam.json", json.dumps(asdict(launched)).encode())
    assert status.run(arguments) == 0
    shown = capsys.readouterr().out
    assert (
        "champion  none yet\nlauncher  team.spam at 2026-08-20T10:30:00Z launched r1: for?[2J"
        in shown
    )
