"""`finetune models`, `promote` and `rollback`: what they print, and what they refuse."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from job.commands import models, promote, rollback
from job.commands.printing import table
from job.errors import InputMissing, SettingsError, Torn
from job.registry import champion as registry
from job.store import Store, layout, open_store
from tests.support.registry import judge, publish
from tests.support.samples import finetune


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "store"))
    for n in (1, 2, 3):
        scores = tmp_path / "files"
        scores.mkdir(exist_ok=True)
        (scores / layout.SCORES).write_text(json.dumps({"eval_f1": n / 10, "test_accuracy": 0.9}))
        publish(store, "m", f"r{n}-a1", scores, published=1.7e9 + n)
        judge(store, "m", f"r{n}-a1", promoted=n < 3)
    return store


def of(store: Store) -> list[str]:
    return ["--output", str(store.uri), "--name", "m"]


def listed(store: Store, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert models.run(of(store)) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_versions_are_listed_with_what_they_are(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put("m/models/r4-a1/config.json", b"{}")
    store.put("m/models/not a version/manifest.json", b"{}")
    store.delete([f"m/models/r1-a1/{layout.SCORES}"])
    rows = listed(store, capsys)
    assert [(r["version"], r["roles"], r["whole"]) for r in rows] == [
        ("r3-a1", [], True),
        ("r2-a1", ["champion", "best"], True),
        ("r1-a1", ["previous"], False),
        ("r4-a1", [], False),
    ]
    assert rows[0]["scores"] == {"test_accuracy": 0.9, "eval_f1": 0.3}
    assert (rows[0]["published"], rows[0]["run_id"]) == ("2023-11-14T22:13:23Z", "r3")
    assert [r["verdict"] and r["verdict"]["action"] for r in rows] == ["kept", "promoted", "promoted", None]  # fmt: skip
    assert [r["damage"] for r in rows[2:]] == [
        "eval_results.json is missing",
        "it has no manifest: it was never finished",
    ]


def test_a_terminal_gets_a_table_of_its_width(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    assert (
        promote.run(["r3-a1", "--reason", "a customer\x1b[31m\nasked " + "so " * 30, *of(store)])
        == 0
    )
    capsys.readouterr()
    assert models.run(of(store)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["version", "in", "use", "as", "published", "test_accuracy", "MB", "verdict"]  # fmt: skip
    assert lines[1].startswith("r3-a1    champion")
    assert lines[1].endswith("..")
    assert max(map(len, lines)) <= 60
    assert "\x1b" not in "".join(lines)
    monkeypatch.setenv("COLUMNS", "30")
    long = table(("version", "verdict"), [("v" * 60, "kept")]).splitlines()
    assert "".join(line.split()[0] for line in long[1:]) == "v" * 60, "a name is shown whole"


def test_a_closed_pipe_is_nobodys_mistake(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return 0

    monkeypatch.setattr("os.dup2", lambda *_: None)
    monkeypatch.setattr("sys.stdout", Closed())
    assert models.run(of(store)) == 0


def test_no_version_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="store/m/models/: no version there"):
        models.run(["--output", str(tmp_path / "store"), "--name", "m"])


def test_a_person_promotes_and_goes_back(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    promote.run(["r3-a1", "--reason", "asked for", *of(store)])
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "r3-a1 is the champion in place of r2-a1; `finetune rollback` goes back to r2-a1",
        f"{store.uri}/m/champion.json",
    ]
    champion, tag = registry.read(store, "m")
    assert (champion.history[-1].action, champion.history[-1].reason) == (
        "promoted by hand",
        "asked for",
    )
    promote.run([*of(store), "r3-a1"])
    assert "is the champion already" in capsys.readouterr().out
    assert registry.read(store, "m")[1] == tag, "nothing was written"
    rollback.run(of(store))
    rollback.run(of(store))
    assert "withdrawn: r2-a1" in capsys.readouterr().out
    champion, _ = registry.read(store, "m")
    assert (champion.version, champion.previous) == ("r1-a1", None)
    with pytest.raises(InputMissing, match="no champion before r1-a1 is left to go back to"):
        rollback.run(of(store))
    rollback.run(["r3-a1", *of(store)])
    champion, _ = registry.read(store, "m")
    assert (champion.version, champion.withdrawn) == ("r3-a1", ["r2-a1"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["r2-a1"], r"r2-a1 is the champion already; name another one; those that were: r1-a1"),
        (["r3-a1"], r"r3-a1 never was the champion .* `finetune promote r3-a1`"),
        (["r9-a1"], r"r9-a1 never was the champion \(those that were: r1-a1\)"),
    ],
)
def test_what_was_not_the_champion_is_nothing_to_go_back_to(
    store: Store, words: list[str], said: str
) -> None:
    with pytest.raises(InputMissing, match=said):
        rollback.run([*words, *of(store)])


def test_only_a_whole_version_is_put_to_use(store: Store, tmp_path: Path) -> None:
    before = store.get(layout.champion("m"))
    for name in ("r3-a2", "../m/models/r3-a1", ""):
        with pytest.raises(InputMissing, match="holds no finished version"):
            promote.run([name, *of(store)])
    with pytest.raises(InputMissing, match=r"did you mean r3-a1 or r\d-a1 or r\d-a1\?"):
        promote.run(["r3-a2", *of(store)])
    store.put(f"m/models/r3-a1/{layout.SCORES}", b"{}")
    with pytest.raises(
        Torn, match=r"version r3-a1 is not whole: .*r3-a1/eval_results\.json has 2 bytes"
    ):
        promote.run(["r3-a1", *of(store)])
    store.put("m/models/r1-a1/manifest.json", b"<html>")
    with pytest.raises(Torn, match=r"version r1-a1 is not whole: .* is not a manifest"):
        rollback.run(of(store))
    assert store.get(layout.champion("m")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote"], "promote needs the version"),
        (["promote", "a", "b"], "'b' belongs to no flag; write finetune promote VERSION"),
        (["promote", "a", "--reason"], "--reason has no value"),
        (["models", "a"], "'a' belongs to no flag; write finetune models"),
        (["models", "--nmae", "m"], "there is no such setting; did you mean FINETUNE_NAME"),
        (["rollback"], "FINETUNE_OUTPUT is not set"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINETUNE_OUTPUT", raising=False)
    command: Any = {"promote": promote, "models": models, "rollback": rollback}[arguments[0]]
    with pytest.raises(SettingsError, match=said):
        command.run(arguments[1:])


def test_a_damaged_record_ends_with_75_and_is_left_alone(store: Store, tmp_path: Path) -> None:
    store.put(layout.champion("m"), b'{"version": 3}')
    for command in (["models"], ["promote", "r3-a1"], ["rollback"]):
        with pytest.raises(Torn, match=r"m/champion\.json is not a record of this job \(version: "):
            {"models": models, "promote": promote, "rollback": rollback}[command[0]].run([*command[1:], *of(store)])  # fmt: skip
    assert store.get(layout.champion("m")) == b'{"version": 3}'
    done = finetune("promote", "r3-a1", *of(store), env={}, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (75, "")
