"""Helm's command line, for `make manifests` and the tests of the chart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHART = Path(__file__).parent / "finetune"

Values = Mapping[str, Any] | Path
"""The values of a release, or the file that holds them."""


def run(
    binary: str, *arguments: str, values: Values | None = None
) -> subprocess.CompletedProcess[str]:
    """Run helm; values that are not in a file go to its standard input."""
    content = None if values is None or isinstance(values, Path) else json.dumps(values)
    if values is not None:
        arguments = (*arguments, "--values", "-" if content else str(values))
    return subprocess.run(
        [binary, *arguments], input=content, capture_output=True, text=True, check=False
    )


def template(binary: str, release: str, namespace: str, values: Values, *flags: str) -> str:
    """The manifests that the chart renders, as YAML.

    Raises:
        ValueError: helm refuses the values; its message is what it printed.
    """
    arguments = ("template", release, str(CHART), "--namespace", namespace, *flags)
    process = run(binary, *arguments, values=values)
    if process.returncode:
        raise ValueError(process.stderr)
    return process.stdout
