"""The table of commands: what it names exists, and what it does not name does nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from job import commands
from job.commands import COMMANDS
from job.commands.arguments import Arguments
from job.commands.prune import KEEP
from job.errors import SettingsError
from job.settings.rules import RULES
from tests.support.samples import finetune


@pytest.mark.parametrize("name", COMMANDS)
def test_entries_and_rules_exist(name: str) -> None:
    command = COMMANDS[name]
    assert callable(command.resolve())
    assert set(command.rules) <= RULES.keys()


def test_every_rule_is_some_commands() -> None:
    assert set().union(*(command.rules for command in COMMANDS.values())) == RULES.keys()


def test_help_shows_every_command_but_the_jobs_own(tmp_path: Path) -> None:
    said = finetune("--help", env={}, cwd=tmp_path).stdout
    assert said == commands.usage()
    listed = [line.split()[0] for line in said.splitlines() if line.startswith("  ")]
    assert listed == [name for name in COMMANDS if name != "outcome"]


def test_an_unknown_command_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    done = finetune("evaluat", env={}, cwd=tmp_path)
    assert done.returncode == 78
    assert "there is no command 'evaluat'; did you mean evaluate?" in done.stderr


def test_a_worker_does_not_train_for_an_unknown_command(tmp_path: Path) -> None:
    outcome = tmp_path / "outcome.json"
    done = finetune("worker", str(outcome), "no-such", env={}, cwd=tmp_path)
    assert done.returncode == 78
    assert "there is no command 'no-such'" in json.loads(outcome.read_text())["message"]


def test_the_help_of_a_command_shows_its_own_flags() -> None:
    said = COMMANDS["prune"].usage.splitlines()
    own = "[--dry-run] [--keep N] [--orphans] [--json]"
    assert said[0] == f"usage: finetune prune {own} [--SECTION.NAME VALUE …]"
    assert f"  --keep N   keep the N newest versions; by default {KEEP}" in said


def test_a_command_line_is_taken_apart_by_what_its_command_takes() -> None:
    given = Arguments.of(["--keep", "3", "--json", "--name=m", "--output", "o"], COMMANDS["prune"])
    assert list(given.words) == []
    assert (given.switches, given.options) == (frozenset({"--json"}), {"--keep": "3"})
    assert given.settings == ["--name=m", "--output", "o"]
    given = Arguments.of(["--reason=it is better", "v1"], COMMANDS["promote"])
    assert (given.words, given.options) == (["v1"], {"--reason": "it is better"})


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        ("models", "v1", "'v1' belongs to no flag; write finetune models [--json]"),
        ("promote", "v1 v2", "'v2' belongs to no flag; write finetune promote VERSION"),
        ("rollback", "--reason", "--reason has no value; write finetune rollback [VERSION]"),
        ("status", "--output", "--output has no value; write finetune status [--json]"),
    ],
)
def test_a_command_line_of_too_much_or_too_little(command: str, line: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Arguments.of(line.split(), COMMANDS[command])
    assert str(refused.value).startswith(said)
