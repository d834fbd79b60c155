"""`make soak`: runs killed at random moments, over and over, each compared with one that was not.

`python -m tests.faults.soak [--kills 200] [--seed 1]` starts a SeaweedFS server of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.pods import Cluster, Killer
from tests.faults.runs import Left, differences, left, settings
from tests.support.servers import seaweedfs

WORLDS: list[tuple[int, ...]] = [(1, 1), (2, 1), (1, 2), (3, 1)]
"""Pods, and processes in each."""
KILLS = 6
"""In one run."""


def main() -> None:
    """Soak until so many kills are done, and say what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", default="", help="such as 1x1,2x1")
    given = parser.parse_args()
    named = [tuple(map(int, w.split("x"))) for w in given.worlds.split(",") if w]
    with tempfile.TemporaryDirectory() as name, seaweedfs(Path(name, "s3")) as server:
        os.environ.update(server.env)
        output = server.create_bucket("soak")
        soak(Path(name), output, given.kills, given.seed, named or WORLDS)


def soak(folder: Path, output: str, kills: int, seed: int, worlds: list[tuple[int, ...]]) -> None:
    """One world after the other, until so many kills are done.

    Raises:
        AssertionError: a run did not end, or not as the one that was not killed.
    """
    whole: dict[tuple[int, ...], Left] = {}
    kinds: Counter[str] = Counter()
    done, number, start = 0, 0, time.monotonic()
    while done < kills:
        world = worlds[number % len(worlds)]
        if world not in whole:
            name = f"whole-{'x'.join(map(str, world))}"
            Cluster(world[0], settings(folder, output, name), folder, world[1]).run()
            whole[world] = left(output, name, folder)
        name, began = f"killed-{number}", time.monotonic()
        killer = Killer(seed * 1000 + number, min(KILLS, kills - done))
        cluster = Cluster(world[0], settings(folder, output, name), folder, world[1])
        cluster.run(killer, seconds=900)
        killed = left(output, name, folder)
        wrong = differences(whole[world], killed)
        assert not wrong, f"{name} {world} {killer.done}: {wrong[:5]}\n{cluster.tail()}"
        for pod in cluster.pods:
            assert not pod.said("damaged"), cluster.tail()
            assert not pod.said("passed over"), cluster.tail()
        done, number = done + len(killer.done), number + 1
        kinds.update(re.sub(r"pod \d+", "a pod", kill) for kill in killer.done)
        kinds[f"{world[0]} pods of {world[1]}"] += len(killer.done)
        print(
            f"{name}: {world[0]} pods of {world[1]}, {len(killer.done)} kills ({done} of {kills}), "
            f"{killed.attempts} attempts, {time.monotonic() - began:.0f} s; every bit the same",
            flush=True,
        )
    print(
        f"{done} kills in {number} runs, {(time.monotonic() - start) / 60:.0f} minutes: "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    )


if __name__ == "__main__":
    main()
