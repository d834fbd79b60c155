"""Secrets in addresses and variables, looked for in everything that a run prints and leaves."""

from __future__ import annotations

import os
import random
import re
import string
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from job.demo import tickets
from tests.support.samples import finetune, tiny_bert, write_csv


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "site"
    folder.mkdir()
    write_csv(folder / "it's all.csv", [*tickets(200), ("too", "many", "columns")])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/it's all.csv"
    server.shutdown()


def drawn(seed: int) -> tuple[str, str]:
    """A key as AWS draws them, with a slash in the middle, and its parts."""
    chance = random.Random(seed)
    halves = ["".join(chance.choices(string.ascii_letters + string.digits, k=18)) for _ in "ab"]
    return "/".join(halves), "|".join(halves)


@pytest.mark.parametrize(
    ("seed", "most_bad", "code"), [(1, "0.1", 0), pytest.param(2, "0", 65, marks=pytest.mark.slow)]
)
def test_nothing_secret_is_printed_or_left(
    site: str, tmp_path: Path, seed: int, most_bad: str, code: int
) -> None:
    password, password_parts = drawn(seed)
    signature, signature_parts = drawn(seed + 100)
    key, key_parts = drawn(seed + 200)
    model = tiny_bert(tmp_path / "bert", [text for text, _ in tickets(50)])
    message = tmp_path / "termination-log"
    message.write_text("")
    # as an address should be, and as people paste them
    escaped = quote(password, safe="")
    env = {
        "FINETUNE_OUTPUT": str(tmp_path / "store"),
        "FINETUNE_NAME": "m",
        "FINETUNE_DATA__TRAIN": f"http://me:{escaped}@{site}?X-Amz-Signature={signature}",
        "FINETUNE_DATA__MAX_BAD_FRACTION": most_bad,
        "FINETUNE_MODEL__NAME": str(model),
        "FINETUNE_RUNTIME__TERMINATION_LOG": str(message),
        "FINETUNE_RUNTIME__PEER_TOKEN": key,
        "AWS_SECRET_ACCESS_KEY": key,
        "HTTP_PROXY": "",
    }
    said = []
    for words in ("prepare", "status", "config"):
        done = finetune(words, env=env, cwd=tmp_path)
        said += [done.stdout, done.stderr]
        assert done.returncode == (code if words == "prepare" else 0), done.stderr
    pasted = {**env, "FINETUNE_DATA__TRAIN": f"s3://AKIAEXAMPLE:{password}@bucket/a.csv"}
    done = finetune("prepare", env=pasted, cwd=tmp_path)
    assert done.returncode == 78
    said += [done.stdout, done.stderr, message.read_text()]
    left: dict[str, str] = {}
    for folder, _, names in os.walk(tmp_path / "store"):
        left |= {name: Path(folder, name).read_bytes().decode("latin-1") for name in names}
    assert {"state.json", "settings.json", "inputs.json", "quarantine.jsonl"} <= left.keys()
    secret = re.compile(f"{password_parts}|{signature_parts}|{key_parts}")
    assert [name for name, text in left.items() if secret.search(text)] == []
    assert [text for text in said if secret.search(text)] == []
