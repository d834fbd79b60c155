"""How a command that refuses its input must look, whatever the mistake."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path

from job.demo import tickets
from job.store import Store
from tests.support.samples import checked, finetune

SECRETS = ("admin-secret", "reader-secret", "no-such-secret")
ROWS = tuple(tickets(60))


def given(folder: Path, model: Path | str, data: Path | str, **more: object) -> dict[str, str]:
    """The variables of a small run into `folder`/out; names that begin with AWS_ stand as they are."""
    settings = {
        "NAME": "m",
        "RUN_ID": "r1",
        "OUTPUT": str(folder / "out"),
        "DATA__TRAIN": data,
        "MODEL__NAME": model,
        "TRAIN__MAX_STEPS": 2,
        **more,
    }
    named = {k if k.startswith("AWS_") else f"FINETUNE_{k}": str(v) for k, v in settings.items()}
    # a store that is refused on purpose need not be asked eight times
    return {"OMP_NUM_THREADS": "1", "AWS_MAX_ATTEMPTS": "2", **named}


def refused(
    code: int, *words: str, command: str = "run", env: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command that must end with `code` and one line of error that holds all of `words`."""
    done = (checked if command == "check" else partial(finetune, command))(env=env, cwd=folder)
    assert done.returncode == code, done.stderr
    message = the_error(done)
    for word in words:
        assert word in message
    return done


def the_error(done: subprocess.CompletedProcess[str]) -> str:
    """The one error line; nothing but log lines may stand beside it, and no secret anywhere."""
    assert "Traceback" not in done.stderr
    assert not [secret for secret in SECRETS if secret in done.stderr + done.stdout]
    errors = []
    for line in done.stderr.splitlines():
        if line.startswith("finetune: "):
            errors.append(line)
        elif (record := json.loads(line))["level"] == "error":
            errors.append(record["message"])
    assert len(errors) == 1, done.stderr
    return errors[0]


def nothing_made(store: Store) -> None:
    """No data set, no version, and a run that is not over."""
    for item in store.list("m/"):
        manifest = item.key.endswith("manifest.json")
        assert not (manifest and item.key.startswith(("m/datasets/", "m/models/"))), item.key
        if item.key.endswith("/state.json"):
            assert json.loads(store.get(item.key))["outcome"] is None
