"""What the documentation names is there: settings, kinds of verdicts, commands, exit codes, keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from job import errors
from job.commands import COMMANDS
from job.commands.overview import Overview
from job.gate.verdict import Kind, Verdict
from job.registry.champion import Champion
from job.registry.spending import Spending
from job.scoring.compare import Comparison
from job.settings import Checks, Publish, names
from job.settings.sources import variable
from job.settings.tree import CONFIG_VARIABLE

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/retraining.md", "docs/design.md", "helm/finetune/README.md")
RETRAINING = (ROOT / "docs" / "retraining.md").read_text()
README = (ROOT / "README.md").read_text()


def table(text: str, head: str) -> Iterator[Sequence[str]]:
    """The cells of the table that begins with a line."""
    _, _, rest = text.partition(head)
    for line in rest.splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_named_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    named = {n for n in re.findall(r"\bFINETUNE_[A-Z_]+", text) if not n.endswith("_")}
    sections = {variable(path) for path in names.sections()}
    asked = dict.fromkeys(sorted(named - sections - {CONFIG_VARIABLE}), "")
    assert list(names.unknown_variables(asked, page)) == []


def test_the_kinds_of_a_verdict() -> None:
    rows = table(RETRAINING, "| `kind` | means |")
    assert {kind for cells in rows for kind in quoted(cells[0])} == {*get_args(Kind)}


def test_the_policies_of_the_gate() -> None:
    rows = table(RETRAINING, "| policy | promoted if |")
    policies = get_args(Publish.model_fields["gate"].annotation)
    assert [quoted(cells[0])[0] for cells in rows] == sorted(
        policies, key=["not-worse", "better", "always"].index
    )


def test_the_figures_of_a_verdict() -> None:
    found = Comparison("McNemar", 9, 0.5, 0.5, 0.0, -0.1, 0.1, 0.02, 0.1)
    verdict = Verdict("worse", "", "always", "f1", Spending(), "a-a1", -0.1, found)
    _, _, said = RETRAINING.partition("Beside it stand ")
    figures = set(quoted(said.partition("\n")[0]))
    assert verdict.facts().keys() - {"kind"} <= figures


def test_the_bounds_of_the_checks() -> None:
    rows = [
        re.fullmatch(r"`(?:FINETUNE_CHECKS__)?([A-Z_]+)` (\S+)", cells[0])
        for cells in table(RETRAINING, "| setting, and its default |")
    ]
    bounds = {row[1].lower(): float(row[2]) for row in rows if row}
    fields = {name: field.default for name, field in Checks.model_fields.items()}
    assert bounds == {n: v for n, v in fields.items() if n not in ("action", "max_rows")}
    assert f"`FINETUNE_CHECKS__MAX_ROWS` ({fields['max_rows']:,})" in RETRAINING


def test_the_keys_of_the_status(tmp_path: Path) -> None:
    about = Overview("m", str(tmp_path), Champion(), None, None, "", {})
    keys = {quoted(cells[0])[0] for cells in table(RETRAINING, "| key | holds |")}
    assert keys == (about.json().keys() | {"runs"}) - {"model", "uri"}


def test_the_commands() -> None:
    said = {quoted(cells[0])[0].split()[1] for cells in table(README, "| command | does |")}
    assert said == {command.name for command in COMMANDS.values() if command.help}
    text = "".join((ROOT / page).read_text() for page in PAGES)
    assert set(re.findall(r"`finetune ([a-z]+)", text)) <= said


def test_the_exit_codes() -> None:
    said = {int(cells[0]) for cells in table(README, "| code | meaning |")}
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    assert {each.exit_code for each in classes if issubclass(each, errors.JobError)} | {0} == said
