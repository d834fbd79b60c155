"""The same run in worlds of different sizes: the same losses, whole, killed, and resumed elsewhere."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from job.stages.train.history import merged_history
from job.store import open_store
from tests.faults.pods import Cluster
from tests.faults.runs import settings

STEPS = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds")
    settings(folder, "", "")
    config = json.loads((folder / "bert" / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "bert" / "config.json").write_text(json.dumps(config))
    return folder


def env(folder: Path, name: str, **more: str) -> dict[str, str]:
    more = {"TRAIN__MAX_STEPS": str(STEPS), "TRAIN__TOKENS_PER_DEVICE": "400", **more}
    return settings(folder, str(folder / "store"), name, ENCODE__MAX_LENGTH="32", **more)


def losses(folder: Path, name: str) -> dict[int, float]:
    lines = merged_history(open_store(str(folder / "store")), f"{name}/runs/r")
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[int, float]:
    Cluster(1, env(folder, "alone"), folder).run()
    by_step = losses(folder, "alone")
    assert len(by_step) == STEPS
    assert by_step[STEPS] < 0.5 * by_step[1]
    return by_step


def apart(one: dict[int, float], other: dict[int, float]) -> float:
    """The largest difference of the loss of a step, as a part of it where it is above 1."""
    assert one.keys() == other.keys()
    largest = max(abs(one[s] - other[s]) / max(1.0, one[s]) for s in one)
    print(f"largest difference over {len(one)} steps: {largest:.1e}")
    return largest


class Enough(Exception):
    """The pods were told to stop and are not recreated."""


def until_step_40(cluster: Cluster) -> None:
    if any('"step": 40' in line and "committed" in line for line in cluster.pods[0].log):
        for pod in cluster.pods:
            pod.kill(signal.SIGTERM)
        for pod in cluster.pods:
            assert pod.process is not None
            assert pod.process.wait(60) == 143, cluster.tail()
        raise Enough


@pytest.mark.parametrize(
    ("nodes", "processes", "strategy"),
    [
        (2, 1, "ddp"),
        pytest.param(1, 2, "fsdp", marks=pytest.mark.slow),
        pytest.param(2, 2, "ddp", marks=pytest.mark.slow),
        pytest.param(3, 1, "fsdp", marks=pytest.mark.slow),
    ],
)
def test_the_losses_do_not_depend_on_the_world(
    nodes: int, processes: int, strategy: str, folder: Path, alone: dict[int, float]
) -> None:
    name = f"w{nodes}x{processes}-{strategy}"
    Cluster(nodes, env(folder, name, TRAIN__STRATEGY=strategy), folder, processes).run()
    assert apart(alone, losses(folder, name)) <= 1e-5


@pytest.mark.parametrize(
    ("before", "after", "strategy"),
    [
        pytest.param((2, 1), (1, 1), "ddp", marks=pytest.mark.slow),
        pytest.param((1, 2), (2, 2), "ddp", marks=pytest.mark.slow),
        pytest.param((1, 2), (1, 1), "fsdp", marks=pytest.mark.slow),
        pytest.param((1, 1), (1, 2), "fsdp", marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_in_another_world(
    before: tuple[int, int],
    after: tuple[int, int],
    strategy: str,
    folder: Path,
    alone: dict[int, float],
) -> None:
    name = f"from{before}-to{after}-{strategy}".translate(str.maketrans("", "", "(, )"))
    given = env(folder, name, TRAIN__STRATEGY=strategy)
    with pytest.raises(Enough):
        Cluster(before[0], given, folder, before[1]).run(until_step_40)
    second = Cluster(after[0], given, folder, after[1])
    second.run()
    assert second.pods[0].said("resumed in another environment")
    assert apart(alone, losses(folder, name)) <= 1e-5
