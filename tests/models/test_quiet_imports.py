"""transformers is imported in one place, silent from there on, and not before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.samples import ROOT, write_tickets


def imports_at_run_time(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield str(child.module)
        yield from imports_at_run_time(child)


def said_by(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_transformers_is_imported_in_one_place() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for path in Path(ROOT, "job").rglob("*.py")
        if any(
            name.partition(".")[0] == "transformers"
            for name in imports_at_run_time(ast.parse(path.read_text()))
        )
    }
    # the other one runs published files as a user would, in a process of its own
    assert importers == {"job/models/quiet_imports.py", "job/stages/publish/verify_process.py"}


def test_the_libraries_are_silent() -> None:
    program = (
        "from job.models.quiet_imports import transformers\n"
        "from huggingface_hub.utils import are_progress_bars_disabled\n"
        "logging = transformers().logging\n"
        "print(logging.get_verbosity() == logging.ERROR, logging.is_progress_bar_enabled(),"
        " are_progress_bars_disabled())"
    )
    assert said_by(program) == "True False True"


def test_check_looks_at_rows_before_it_imports_torch(tmp_path: Path) -> None:
    data = write_tickets(tmp_path / "rows.csv")
    arguments = ["--output", str(tmp_path / "out"), "--data.train", str(data), "--model.name", "m"]
    program = (
        "import sys; from job.commands.check import plan; from job.settings import load\n"
        f"lines = plan(load({{}}, {arguments}).settings)\n"
        "next(line for line in lines if line.startswith('rows'))\n"
        "print('torch' in sys.modules)"
    )
    assert said_by(program) == "False"
