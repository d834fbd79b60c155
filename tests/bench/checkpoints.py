"""`make bench-checkpoints`: what checkpoints of a small real encoder to SeaweedFS cost training.

The stall of the loop beside saving and uploading in line, and steps a second with a checkpoint every
so many steps beside those without, the arms taking turns. The server runs on the same machine; its
processor time is told apart.

`python -m tests.bench.checkpoints [--rounds 3] [--steps 300]`
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.bench.trainer import BATCH, RATE, context_for, rows_of
from tests.support.servers import Server, seaweedfs

EVERY = (None, 150, 20)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, seaweedfs(Path(name, "s3")) as server:
        os.environ.update(server.env)
        output = server.create_bucket("bench")
        stalls(Path(name), output)
        figures: dict[int | None, list[tuple[float, float, float]]] = {every: [] for every in EVERY}
        for number in range(given.rounds):
            for every in EVERY:
                folder = Path(name, f"r{number}-{every}")
                folder.mkdir()
                figures[every].append(throughput(folder, output, every, given.steps, server))
        report(figures)


def stalls(folder: Path, output: str) -> None:
    """A checkpoint of the model and its optimizer: in line, and staged."""
    from job.checkpoint import tensors
    from job.checkpoint.catalog import TrainerState
    from job.checkpoint.saver import Checkpoint, Saver
    from job.distributed.membership import Membership
    from job.distributed.world import World
    from job.settings import Checkpoint as CheckpointSettings
    from job.settings import Train
    from job.stages.train.loop import TrainLoop
    from job.store import open_store

    made = folder / "stalls"
    made.mkdir()
    train = Train(max_steps=1, batch_size=BATCH, learning_rate=RATE)
    checkpoint = CheckpointSettings(every_seconds=1e9)
    loop = TrainLoop(context_for(rows_of(200), train, checkpoint, made, output), None)
    loop.stepper.step(0)
    parallel = loop.parallel
    values = tensors.model_tensors(parallel.model)
    values |= tensors.optimizer_tensors(parallel.model, parallel.optimizer)
    size = sum(t.nbytes for t in values.values())
    saver = Saver(
        open_store(output), "m/stalls", 1, World(loop.settings.runtime, Membership()), made
    )
    stall, whole = [], []
    for step in range(8):
        began = time.monotonic()
        saver.save(values, Checkpoint(TrainerState(step=step), "", _nothing, _nothing))
        stall.append(time.monotonic() - began)
        saver.wait()
        whole.append(time.monotonic() - began)
    # the first copy also takes the memory that is kept for the later ones
    print(
        f"{size / 1e6:.0f} MB: stall {statistics.median(stall[1:]):.3f} s (first {stall[0]:.3f} s), "
        f"in line {statistics.median(whole[1:]):.2f} s: {statistics.median(stall[1:]) / statistics.median(whole[1:]):.1%}"
    )


def _nothing() -> None:
    """Nobody is told."""


def throughput(
    folder: Path, output: str, every: int | None, steps: int, server: Server
) -> tuple[float, float, float]:
    """Steps a second of the loop with its pauses, and the processor's seconds here and in the server."""
    from accelerate.state import AcceleratorState

    from job.settings import Checkpoint, Train
    from job.stages.train.loop import TrainLoop

    AcceleratorState._reset_state(reset_partial_state=True)
    train = Train(max_steps=steps, batch_size=BATCH, learning_rate=RATE)
    checkpoint = Checkpoint(every_seconds=1e9, every_steps=every, keep=1)
    loop = TrainLoop(context_for(rows_of(1500), train, checkpoint, folder, output), None)
    began, here, there = time.monotonic(), time.process_time(), _seconds(server)
    loop.run()
    # the last step's checkpoint, which every arm makes and waits for, is no part of the loop's rate
    seconds = time.monotonic() - began - loop.checkpointer.saver.seconds
    return steps / seconds, time.process_time() - here, _seconds(server) - there


def _seconds(server: Server) -> float:
    """The processor time of the server so far."""
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(figures: dict[int | None, list[tuple[float, float, float]]]) -> None:
    """Medians, and the ratios of each round to the arm without."""
    for every, runs in figures.items():
        rate, here, there = (statistics.median(values) for values in zip(*runs, strict=True))
        ratios = [run[0] / base[0] for run, base in zip(runs, figures[None], strict=True)]
        shown = ", ".join(f"{ratio:.3f}" for ratio in ratios)
        print(
            f"every {every}: {rate:.2f} steps/s, {statistics.median(ratios):.3f} of that without "
            f"(rounds: {shown}); {here:.0f} CPU s here, {there:.0f} in the server"
        )


if __name__ == "__main__":
    main()
