"""A promotion and a way back, killed at each of their writes: the champion is the old one or the new one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from job.registry import champion as registry
from job.store import Store, layout, open_store
from tests.faults.proxy import Faults, FaultyProxy
from tests.support.registry import judge, publish
from tests.support.samples import ROOT
from tests.support.servers import Server


class AtWrite:
    """Kills a command at one of its writes, before the server does it or after; notes all of them."""

    def __init__(self, at: str, number: int) -> None:
        self._at, self._number = at, number
        self.process: subprocess.Popen[bytes] | None = None
        self.writes: list[str] = []

    def __call__(self, when: str, method: str, key: str) -> None:
        if when == "before":
            self.writes.append(f"{method} {key.split('/', 2)[-1]}")
        if (when, len(self.writes)) == (self._at, self._number) and self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()  # it hears no answer
            if when == "before":
                raise ConnectionResetError("its request is lost with it")


def command(server: Server, bucket: str, at: str, *words: str, number: int = 1) -> AtWrite:
    point = AtWrite(at, number)
    with FaultyProxy(server.url, Faults(), watch=point) as proxy:
        line = [sys.executable, "-m", "job", *words, "--output", bucket, "--name", "m"]
        env = {**os.environ, "AWS_ENDPOINT_URL": proxy.url}
        point.process = subprocess.Popen(line, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
        code = point.process.wait(120)
    assert code == (0 if at == "never" else -signal.SIGKILL)
    return point


@pytest.fixture
def store(bucket: str) -> Store:
    store = open_store(bucket)
    for version in ("r1-a1", "r2-a1", "r3-a1"):
        publish(store, "m", version)
        judge(store, "m", version, promoted=version != "r3-a1")
    return store


MOVES = {"promote": (["promote", "r3-a1"], "r3-a1"), "rollback": (["rollback"], "r1-a1")}


@pytest.mark.parametrize("move", MOVES)
def test_it_is_one_write_and_killed_at_it_leaves_the_old_or_the_new(
    s3_server: Server, bucket: str, store: Store, move: str
) -> None:
    words, new = MOVES[move]
    old = store.get(layout.champion("m"))
    command(s3_server, bucket, "before", *words)
    assert store.get(layout.champion("m")) == old
    done = command(s3_server, bucket, "after", *words)
    assert done.writes == ["PUT m/champion.json"]
    champion, tag = registry.read(store, "m")
    assert champion.version == champion.history[-1].version == new
    assert len(champion.history) == 4
    if move == "promote":
        command(s3_server, bucket, "never", *words)
        assert registry.read(store, "m")[1] == tag, "it is done already"


@pytest.mark.slow
def test_a_removal_that_is_killed_at_any_write_leaves_what_is_in_use(
    s3_server: Server, bucket: str, store: Store
) -> None:
    """Its record of what is removed, the manifest, the files: three writes."""
    for number in (1, 2, 3):
        for at in ("before", "after"):
            publish(store, "m", f"{at}-a{number}")
            command(s3_server, bucket, at, "prune", "--keep", "0", number=number)
            done = command(s3_server, bucket, "never", "prune", "--keep", "0")
            champion, _ = registry.read(store, "m")
            assert (champion.version, champion.previous) == ("r2-a1", "r1-a1")
            left = {o.key.split("/")[2] for o in store.list(f"{layout.versions('m')}/")}
            assert left == {"r1-a1", "r2-a1"}, (number, at, done.writes)
