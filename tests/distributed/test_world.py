"""A worker's view of its world, the watchdog, and pods that find each other, lose each other, or are two."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from job.distributed.world import World
from job.errors import OutOfMemory, PeerLost, SettingsError, is_out_of_memory
from job.settings import Runtime
from job.stages.train.memory import TokenBudget
from job.supervisor.channel import Switchboard, call
from job.supervisor.topology import Layout, layout_of
from tests.faults.pods import Cluster, free_port
from tests.faults.runs import left, settings
from tests.support.samples import ROOT


@pytest.mark.parametrize(
    ("runtime", "env", "expected"),
    [
        ({}, {}, Layout()),
        ({"processes": 2}, {"JOB_COMPLETION_INDEX": "3"}, Layout(processes=2)),
        (
            {"nodes": 4, "address": "a-0.b"},
            {"JOB_COMPLETION_INDEX": "3"},
            Layout(4, 3, 1, "a-0.b"),
        ),
        (
            {},
            {"PET_NNODES": "1:3", "PET_NODE_RANK": "2", "PET_MASTER_ADDR": "m", "PET_NPROC_PER_NODE": "auto"},
            Layout(3, 2, 1, "m"),
        ),
        ({}, {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "m"}, Layout(2, 1, 1, "m")),
        (
            {},
            {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "m", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "x"},
            Layout(4, 3, 1, "m", 29501, 1),
        ),
        ({"env": "none"}, {"WORLD_SIZE": "2", "RANK": "1"}, Layout()),
    ],
)  # fmt: skip
def test_a_launchers_variables_are_understood(
    runtime: dict[str, object], env: dict[str, str], expected: Layout
) -> None:
    assert layout_of(Runtime(device="cpu", **runtime), env) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runtime", "env", "words"),
    [
        ({"nodes": 2, "address": "m"}, {}, "nothing says which of them"),
        ({"nodes": 2}, {"JOB_COMPLETION_INDEX": "1"}, "nothing says where pod 0 is"),
        ({"nodes": 2, "address": "m"}, {"JOB_COMPLETION_INDEX": "2"}, "number is 2"),
        ({}, {"WORLD_SIZE": "two", "RANK": "1"}, "WORLD_SIZE='two' is no number"),
    ],
)
def test_numbers_that_make_no_world_are_refused(
    runtime: dict[str, object], env: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        layout_of(Runtime(device="cpu", **runtime), env)  # type: ignore[arg-type]


def test_a_world_of_one_needs_nobody() -> None:
    world = World(Runtime())
    world.tell("a", 1)
    world.join()
    assert world.first
    assert world.any(True, False) == (True, False)
    assert world.gather(3) == [3]
    assert world.agreed("x") == "x"


def test_the_first_rank_that_does_not_come_is_waited_for_and_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in Layout(2, 1, 1, "127.0.0.1", free_port()).environment(0, "x").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PeerLost, match="was not reached") as caught:
        World(Runtime(peer_wait=0.1)).hear("attempt")
    assert not caught.value.again


def test_the_first_pod_needs_no_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Service may know it some seconds later than it needs it."""
    layout = Layout(2, 0, 1, "not-yet.invalid", free_port())
    for name, value in layout.environment(0, "x").items():
        monkeypatch.setenv(name, value)
    world = World(Runtime(peer_wait=5))
    world.tell("a", 1)
    assert world.hear("a") == 1


def test_a_second_pod_with_the_same_number_takes_the_first_ones_place() -> None:
    async def play() -> list[str]:
        board, port = Switchboard(), free_port()
        assert await call("127.0.0.1", port, 1) is None, "nobody listens yet"
        assert await call("no.such.name.invalid", port, 1) is None
        await board.open(port)
        one = await call("127.0.0.1", port, 1)
        heard = [(await board.heard.get()).said]
        two = await call("127.0.0.1", port, 1)
        heard += [(await board.heard.get()).said, (await board.heard.get()).said]
        assert one is not None
        assert two is not None
        assert await one.hear() == {"say": "replaced"}
        assert await one.hear() is None
        board.say("start", name="a")
        assert await two.hear() == {"say": "start", "name": "a"}
        two.close()
        heard.append((await board.heard.get()).said)
        await board.close(0)
        return heard

    assert asyncio.run(play()) == ["hello", "gone", "hello", "gone"]


def test_a_step_that_stands_still_ends_the_process_with_its_stacks() -> None:
    program = (
        "import time; from job.runtime import Watchdog\n"
        "def stands_still(): time.sleep(60)\n"
        "dog = Watchdog(0.3)\n"
        "with dog.watching('step 6'):\n"
        "    for _ in range(8): time.sleep(0.1); dog.beat()\n"
        "with dog.watching('step 7'): stands_still()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=50, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 75
    assert "step 7 stands still" in done.stderr
    assert "in stands_still" in done.stderr


def test_memory_errors_are_known_and_limits_end_at_one_row() -> None:
    class Plan:
        import numpy as np

        lengths = np.array([3, 40])

    error = RuntimeError(
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    assert is_out_of_memory(error)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes"))
    budget = TokenBudget(100, Plan())  # type: ignore[arg-type]
    budget.halve(error)
    assert budget.tokens == 50
    budget.halve(error)
    assert budget.tokens == 40
    with pytest.raises(OutOfMemory, match="one row of 40 tokens"):
        budget.halve(error)


def test_a_pod_killed_in_a_world_comes_back_and_the_others_stay(tmp_path: Path) -> None:
    env = settings(tmp_path, str(tmp_path / "store"), "m", RUNTIME__MAX_STALLED_ATTEMPTS="3")
    killed: list[float] = []

    def kill(cluster: Cluster) -> None:
        if not killed and cluster.pods[0].said('"step": 30, "best_step"'):
            killed.append(time.monotonic())
            cluster.pods[1].kill(signal.SIGKILL)

    cluster = Cluster(2, env, tmp_path)
    cluster.run(kill)
    assert cluster.pods[0].codes == []
    assert cluster.pods[1].codes == [-signal.SIGKILL]
    found = left(str(tmp_path / "store"), "m", tmp_path)
    assert found.attempts == 2
    assert cluster.pods[0].said('"resumed"')


def test_too_little_memory_makes_micro_batches_smaller(tmp_path: Path) -> None:
    """RLIMIT_AS, set when training begins to what the process has and a little more."""
    env = settings(tmp_path, str(tmp_path / "store"), "m", TRAIN__MAX_STEPS="3")
    env |= {"FINETUNE_TRAIN__BATCH_SIZE": "200", "FINETUNE_EVALUATE__EVERY_STEPS": "9"}
    config = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 8192}
    config |= {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    env |= {
        "FINETUNE_MODEL__CONFIG": json.dumps(config),
        "FINETUNE_MODEL__TOKENIZER": env.pop("FINETUNE_MODEL__NAME"),
    }
    program = (
        "import resource, sys; from job.stages.train.loop import TrainLoop\n"
        "run = TrainLoop.run\n"
        "def limited(self):\n"
        "    size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"    resource.setrlimit(resource.RLIMIT_AS, (size + {400 * 2**20}, -1))\n"
        "    try: run(self)\n"
        "    finally: resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n"
        "TrainLoop.run = limited\n"
        "from job.commands.worker import work; work('outcome.json', 'run', [])"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FINETUNE_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean, **env, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert done.returncode == 0, done.stderr
    assert "micro-batches are made smaller" in done.stderr


@pytest.mark.slow
def test_a_pod_that_comes_back_when_training_is_over_leaves_well(tmp_path: Path) -> None:
    """The checkpoint that the attempt began with may be pruned by then."""
    given = {"CHECKPOINT__KEEP": "1", "TRAIN__MAX_STEPS": "60", "PUBLISH__LICENSE": "mit"}
    env = settings(tmp_path, str(tmp_path / "store"), "m", **given)
    stopped: list[int] = []

    def stop(cluster: Cluster) -> None:
        first = cluster.pods[0]
        if not stopped and first.said('"step": 30, "best'):
            stopped.append(1)
            cluster.pods[1].kill(signal.SIGKILL)
        if len(stopped) == 1 and first.said('"best checkpoint taken"'):
            stopped.append(2)
            cluster.pods[1].kill(signal.SIGKILL)

    cluster = Cluster(2, env, tmp_path)
    cluster.run(stop)
    assert cluster.pods[0].codes == []
    assert left(str(tmp_path / "store"), "m", tmp_path).attempts == 2


def test_waiting_in_vain_for_a_pod_is_no_attempt_without_progress(tmp_path: Path) -> None:
    env = settings(
        tmp_path,
        str(tmp_path / "store"),
        "m",
        RUNTIME__MAX_STALLED_ATTEMPTS="1",
        RUNTIME__PEER_WAIT="1",
    )
    cluster = Cluster(2, env, tmp_path)
    for _ in range(2):
        cluster.pods[0].start()
        assert cluster.pods[0].process is not None
        assert cluster.pods[0].process.wait(100) == 75
    assert cluster.pods[0].said("1 of 2 processes did not come within 1 s")
    state = json.loads((tmp_path / "store/m/runs/r/state.json").read_text())
    assert (state["attempt"], state["stalled"]) == (2, 0)
