"""Champions that are moved at the same moment, on a real S3 server: one wins, the others decide anew."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from job.errors import Conflict
from job.registry import champion as registry
from job.registry.champion import by_hand
from job.store import Store, open_store
from tests.faults.proxy import Faults, FaultyProxy
from tests.support.registry import promote, publish
from tests.support.samples import ROOT
from tests.support.servers import Server


def at_once(movers: int, work: Callable[[int], bool]) -> list[bool]:
    with ThreadPoolExecutor(movers) as pool:
        return list(pool.map(work, range(movers)))


def one_move_each(bucket: str, model: str, movers: int, stores: list[Store]) -> None:
    """Each moves the record that all have read, and then the one that it finds there."""
    promote(stores[0], model, "v0")
    barrier = threading.Barrier(movers)

    def mover(number: int) -> bool:
        store, version = stores[number], f"v{number + 1}"
        before, tag = registry.read(store, model)
        barrier.wait(60)
        try:
            registry.write(store, model, by_hand(before, version, ""), tag)
            return True
        except Conflict:
            registry.move(store, model, lambda champion: by_hand(champion, version, ""))
            return False

    won = at_once(movers, mover)
    assert sum(won) == 1
    champion, _ = registry.read(stores[0], model)
    moved = [move.version for move in champion.history]
    assert moved[:2] == ["v0", f"v{won.index(True) + 1}"]
    assert sorted(moved) == [f"v{n}" for n in range(movers + 1)]
    assert [move.champion for move in champion.history] == moved
    assert (champion.version, champion.previous) == (moved[-1], moved[-2])


def test_of_those_that_move_it_at_once_one_wins_and_the_others_decide_anew(bucket: str) -> None:
    stores = [open_store(bucket) for _ in range(3)]
    for number in range(3):
        one_move_each(bucket, f"m{number}", 3, stores)


@pytest.mark.slow
@pytest.mark.parametrize("movers", [2, 5])
def test_a_hundred_times(bucket: str, movers: int) -> None:
    stores = [open_store(bucket) for _ in range(movers)]
    for number in range(100):
        one_move_each(bucket, f"m{number}", movers, stores)


@pytest.mark.parametrize("moves", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_a_move_whose_answer_is_lost_stands_in_the_history_once(
    s3_server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """The client asks again, and finds somebody else's record, which has gone on from its own."""
    faults = Faults(drop_conditional=0.3)
    with FaultyProxy(s3_server.url, faults, seed=moves) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        stores = [open_store(bucket) for _ in range(2)]

        def mover(number: int) -> bool:
            for move in range(moves):
                promote(stores[number], "m", f"v{number}-{move}")
            return True

        at_once(2, mover)
        champion, _ = registry.read(stores[0], "m")
        assert proxy.counts["drop_conditional"] > 0
    expected = sorted(f"v{number}-{move}" for number in range(2) for move in range(moves))
    assert sorted(move.version for move in champion.history) == expected


def test_two_commands_at_once_both_stand_in_the_history(bucket: str, tmp_path: Path) -> None:
    store = open_store(bucket)
    for version in ("v1", "v2"):
        publish(store, "m", version)
    line = [sys.executable, "-m", "job", "promote", "--output", bucket, "--name", "m"]
    commands = [
        subprocess.Popen([*line, version], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for version in ("v1", "v2")
    ]
    said = [command.communicate(timeout=120)[0] for command in commands]
    assert [command.returncode for command in commands] == [0, 0]
    champion, _ = registry.read(store, "m")
    first, last = (move.version for move in champion.history)
    assert {first, last} == {"v1", "v2"}
    assert f"{last} is the champion in place of {first}" in said[int(last == "v2")]
