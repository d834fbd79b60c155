"""`make bench-recovery`: how long a stop takes in each stage, a lost pod, and a start that resumes.

A small real encoder and a SeaweedFS server, real pods as processes; everything shares one machine.

`python -m tests.bench.recovery [--rounds 3] [--only stops,peer,resume]`
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from job.checkpoint.catalog import steps
from job.demo import model_folder, tickets
from job.store import open_store
from tests.faults.pods import Cluster, Pod
from tests.faults.proxy import Faults, FaultyProxy
from tests.faults.runs import settings
from tests.support.samples import write_csv
from tests.support.servers import Server, seaweedfs

STEP = '"train", "done"'
"""What a pod's log says at the first step of an attempt."""
PAUSE = 15.0
"""Seconds, roughly, until a Job has replaced a killed pod."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="stops,peer,resume")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, seaweedfs(Path(name, "s3")) as server:
        os.environ.update(server.env)
        output = server.create_bucket("bench")
        measured: dict[str, Callable[[], None]] = {
            "stops": lambda: stops(Path(name), output, server, given.rounds),
            "peer": lambda: peer(Path(name), output, given.rounds),
            "resume": lambda: resume(Path(name), output, given.rounds),
        }
        for part in given.only.split(","):
            measured[part]()


def env_of(folder: Path, output: str, name: str, rows: int, **more: str) -> dict[str, str]:
    """A run of the real encoder."""
    table = folder / f"rows-{rows}.csv"
    if not table.exists():
        write_csv(table, tickets(rows))
        write_csv(folder / "test.csv", tickets(4000, seed=8))
    return {
        "FINETUNE_NAME": name,
        "FINETUNE_OUTPUT": output,
        "FINETUNE_RUN_ID": "r",
        "FINETUNE_DATA__TRAIN": str(table),
        "FINETUNE_DATA__TEST": str(folder / "test.csv"),
        "FINETUNE_MODEL__NAME": str(model_folder()),
        "FINETUNE_TRAIN__MAX_STEPS": "20",
        "FINETUNE_EVALUATE__MAX_ROWS": "100",
        "FINETUNE_RUNTIME__SCRATCH": str(folder / "scratch"),
        "FINETUNE_RUNTIME__MAX_STALLED_ATTEMPTS": "0",
        **{f"FINETUNE_{key}": value for key, value in more.items()},
    }


# -- stops ---------------------------------------------------------------------------------------


def stops(folder: Path, output: str, server: Server, rounds: int) -> None:
    """One run, stopped in each stage in turn; seconds from SIGTERM to the end of the pod."""
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        publishing = threading.Event()

        def watch(when: str, method: str, key: str, seen: threading.Event = publishing) -> None:
            if "/models/" in key:
                seen.set()

        with FaultyProxy(server.url, Faults(), watch=watch) as proxy:
            env = env_of(folder, output, f"stops-{number}", 60_000)
            cluster = Cluster(1, env | {"AWS_ENDPOINT_URL": proxy.url}, folder)
            moments: dict[str, Callable[[], object]] = {
                "prepare": lambda: _wait(lambda: any(folder.glob("scratch/*/cleaned"))),
                "train": partial(cluster.until, STEP),
                "evaluate": partial(cluster.until, '"scored"'),
                "publish": publishing.wait,
            }
            for stage, moment in moments.items():
                with cluster.up():
                    moment()
                    time.sleep(0.3)
                    began = time.monotonic()
                    cluster.pods[0].kill(signal.SIGTERM)
                    assert cluster.codes() == [143], cluster.tail()
                    found.setdefault(stage, []).append(time.monotonic() - began)
                    print(f"round {number}: {stage} {found[stage][-1]:.2f} s", flush=True)
                if stage == "train":
                    committed = steps(open_store(output), f"stops-{number}/runs/r/checkpoints")
                    assert committed, cluster.tail()
            cluster.run()
    for stage, seconds in found.items():
        shown = ", ".join(f"{value:.2f}" for value in seconds)
        print(f"stop in {stage}: {statistics.median(seconds):.2f} s to 143 ({shown})", flush=True)


def _wait(there: Callable[[], bool]) -> None:
    while not there():
        time.sleep(0.005)


# -- a pod that is lost --------------------------------------------------------------------------


def peer(folder: Path, output: str, rounds: int) -> None:
    """A world of three whose second pod is killed and comes back; a tiny model, so that what is
    measured is the way back and not the model's own time."""
    seconds = []
    for number in range(rounds):
        # far from over when it is killed, and a checkpoint to come back to
        more = {"TRAIN__EPOCHS": "9999", "EVALUATE__EVERY_STEPS": "99999"}
        env = settings(folder, output, f"peer-{number}", **more)
        with Cluster(3, env, folder).up() as cluster:
            first, second = cluster.pods[0], cluster.pods[1]
            cluster.until('"checkpoint committed"')
            supervisors = [pod.process for pod in cluster.pods]
            second.kill(signal.SIGKILL)
            assert second.process is not None
            second.process.wait()
            time.sleep(PAUSE)  # the others have ended their workers and begun the next attempt
            at, back = len(first.log), time.monotonic()
            second.start()
            cluster.until(STEP, since=at)
            seconds.append(time.monotonic() - back)
            others = [pod.process for pod in cluster.pods]
            assert (supervisors[0], supervisors[2]) == (others[0], others[2])
            assert first.process is not None
            assert first.process.poll() is None
            assert first.said('"resumed"')
    shown = ", ".join(f"{value:.1f}" for value in seconds)
    print(
        f"a pod of three killed and started again {PAUSE:g} s later: the world steps "
        f"{statistics.median(seconds):.1f} s after its start ({shown}), the other two stayed",
        flush=True,
    )


# -- starts --------------------------------------------------------------------------------------


def resume(folder: Path, output: str, rounds: int) -> None:
    """From process start to the first new step: of a run that begins, and of the same one resumed."""
    found: dict[str, list[tuple[float, float]]] = {"begun": [], "resumed": []}
    for number in range(rounds + 1):  # the first one prepares the data set
        env = env_of(folder, output, "resume", 4000, RUN_ID=f"r{number}", TRAIN__MAX_STEPS="9999")
        cluster = Cluster(1, env, folder)
        with first_step(cluster) as took:
            cluster.pods[0].kill(signal.SIGTERM)
            assert cluster.codes() == [143], cluster.tail()
        found["begun"].append(took)
        cluster = Cluster(1, env, folder)
        with first_step(cluster) as took:
            assert cluster.pods[0].said('"resumed"')
        found["resumed"].append(took)
    for kind, taken in found.items():
        wall, cpu = (statistics.median(values) for values in zip(*taken[1:], strict=True))
        shown = ", ".join(f"{value:.1f}" for value, _ in taken[1:])
        print(f"{kind}: first step after {wall:.1f} s ({shown}), {cpu:.1f} CPU s", flush=True)
    ratio = [b[0] / a[0] for a, b in zip(found["begun"][1:], found["resumed"][1:], strict=True)]
    print(f"resumed / begun: {statistics.median(ratio):.2f}")


@contextmanager
def first_step(cluster: Cluster) -> Iterator[tuple[float, float]]:
    """Within, the cluster's pod has done its first step; gives its wall and its CPU seconds."""
    began = time.monotonic()
    with cluster.up():
        cluster.until(STEP)
        yield time.monotonic() - began, cpu_seconds(cluster.pods[0])


def cpu_seconds(pod: Pod) -> float:
    """The processor time of a pod's workers so far."""
    assert pod.process is not None
    children = Path(f"/proc/{pod.process.pid}/task/{pod.process.pid}/children").read_text().split()
    stats = [
        Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split() for child in children
    ]
    return sum(int(s[11]) + int(s[12]) for s in stats) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
