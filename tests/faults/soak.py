"""`make soak`: runs killed at random moments, over and over, each compared with one that was not.

`python -m tests.faults.soak [--kills 200] [--minutes 60] [--seed 1] [--lies]` starts a SeaweedFS server
of its own. With --lies the job reaches it, its rows and its model through a proxy that flips bits, cuts
or loses what is put and says that all is well, answers with web pages, and refuses now and then; what
the store truly holds is watched all the while.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from job.settings import Checkpoint
from job.store import open_store
from tests.faults.guard import Guard
from tests.faults.pods import Cluster, Killer
from tests.faults.proxy import Faults, FaultyProxy
from tests.faults.runs import Left, differences, left, settings
from tests.support.servers import Server, seaweedfs

WORLDS: list[tuple[int, ...]] = [(1, 1), (2, 1), (1, 2), (3, 1)]
"""Pods, and processes in each."""
KILLS = 6
"""In one run."""
LIES = Faults(
    flip=0.02, page=0.02, cut_put=0.03, lose_put=0.02, conflict=0.02, error_500=0.005, error_503=0.005,
    slow_down=0.005, reset=0.01, truncate=0.01, drop_response=0.01, drop_conditional=0.02,
)  # fmt: skip
"""About a tenth of all requests, a sixth of those that write."""


def main() -> None:
    """Soak until so many kills are done, or time is up, and say what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", default="", help="such as 1x1,2x1")
    parser.add_argument("--lies", action="store_true")
    given = parser.parse_args()
    named = [tuple(map(int, w.split("x"))) for w in given.worlds.split(",") if w]
    with tempfile.TemporaryDirectory() as name, seaweedfs(Path(name, "s3")) as server:
        os.environ.update(server.env)
        soak = Soak(Path(name), server, given.seed, lies=given.lies)
        soak.until(given.kills, time.monotonic() + 60 * given.minutes, named or WORLDS)


BUG = 70
"""The exit code of what nobody has thought of."""


class Soak:
    """Runs, one after the other, and what became of them."""

    def __init__(self, folder: Path, server: Server, seed: int, *, lies: bool) -> None:
        self._folder, self._server, self._seed, self._lies = folder, server, seed, lies
        self._output = server.create_bucket("soak")
        self._whole: dict[tuple[int, ...], Left] = {}
        self._sources = _uploaded(folder, self._output) if lies else {}
        self.kinds: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()

    def until(self, kills: int, end: float, worlds: list[tuple[int, ...]]) -> None:
        """One world after the other.

        Raises:
            AssertionError: a run did not end, or not as the one that was not killed; or a pod ended with 70.
        """
        done, number, start = 0, 0, time.monotonic()
        while done < kills and time.monotonic() < end:
            world = worlds[number % len(worlds)]
            if world not in self._whole:
                name = f"whole-{'x'.join(map(str, world))}"
                self._cluster(world, name).run()
                self._whole[world] = left(self._output, name, self._folder)
            done += self._killed(number, world, min(KILLS, kills - done))
            number += 1
        minutes = (time.monotonic() - start) / 60
        print(f"{done} kills in {number} runs, {minutes:.0f} minutes: {_listed(self.kinds)}")
        print(f"faults: {_listed(self.faults)}; pods ended with: {_listed(self.codes)}", flush=True)

    def _killed(self, number: int, world: tuple[int, ...], kills: int) -> int:
        """One run with so many kills at most; returns how many there were."""
        name, began = f"killed-{number}", time.monotonic()
        killer = Killer(self._seed * 1000 + number, kills)
        with self._between(number) as endpoint:
            cluster = self._cluster(world, name, AWS_ENDPOINT_URL=endpoint)
            cluster.run(killer, seconds=900)
        killed = left(self._output, name, self._folder, some_torn=self._lies)
        wrong = differences(self._whole[world], killed)
        assert not wrong, f"{name} {world} {killer.done}: {wrong[:5]}\n{cluster.tail()}"
        for pod in cluster.pods:
            self.codes.update(pod.codes)
            assert BUG not in pod.codes, "\n".join(pod.log)
            for words in () if self._lies else ("damaged", "passed over"):
                assert not pod.said(words), cluster.tail()
        self.kinds.update(re.sub(r"pod \d+", "a pod", kill) for kill in killer.done)
        self.kinds[f"{world[0]} pods of {world[1]}"] += len(killer.done)
        print(
            f"{name}: {world[0]} pods of {world[1]}, {len(killer.done)} kills, {killed.attempts} attempts, "
            f"{time.monotonic() - began:.0f} s; every bit the same",
            flush=True,
        )
        return len(killer.done)

    def _cluster(self, world: tuple[int, ...], name: str, **env: str) -> Cluster:
        given = settings(self._folder, self._output, name, **self._sources)
        return Cluster(world[0], given | env, self._folder, world[1])

    @contextmanager
    def _between(self, number: int) -> Iterator[str]:
        """The endpoint that the job is given: the server's, or that of a proxy that lies.

        Raises:
            AssertionError: something whole was removed or damaged.
        """
        if not self._lies:
            yield self._server.url
            return
        guard = Guard(open_store(self._output), "soak", Checkpoint().keep)
        with FaultyProxy(
            self._server.url,
            LIES,
            self._seed * 1000 + number,
            watch=guard.wrote,
            removing=guard.removing,
        ) as proxy:
            yield proxy.url
        self.faults += proxy.counts
        self.kinds["whole checkpoints pruned by the rule"] += guard.removed
        assert not guard.wrongs, guard.wrongs


def _uploaded(folder: Path, output: str) -> dict[str, str]:
    """The rows and the model, put into the bucket, and the settings that name them there."""
    settings(folder, output, "sources")
    store = open_store(f"{output}/sources")
    for path in (folder / "rows.csv", *sorted((folder / "bert").iterdir())):
        store.upload(path, path.relative_to(folder).as_posix())
    return {
        "DATA__TRAIN": f"{output}/sources/rows.csv",
        "MODEL__NAME": f"{output}/sources/bert",
    }


def _listed(counts: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=str))


if __name__ == "__main__":
    main()
