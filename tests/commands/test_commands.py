"""The table of commands: what it names exists, and what it does not name does nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from job import commands
from job.commands import COMMANDS
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
