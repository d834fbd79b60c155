"""What settings and a launcher's variables say about the pods and processes of a world."""

from __future__ import annotations

from pathlib import Path

import pytest

from job.distributed.membership import Membership
from job.errors import SettingsError
from job.settings import Runtime
from job.supervisor.topology import Topology, topology_of


@pytest.mark.parametrize(
    ("runtime", "env", "expected"),
    [
        ({}, {}, Topology()),
        ({"processes": 2}, {"JOB_COMPLETION_INDEX": "3"}, Topology(processes=2)),
        (
            {"nodes": 4, "address": "a-0.b"},
            {"JOB_COMPLETION_INDEX": "3"},
            Topology(4, 3, 1, "a-0.b"),
        ),
        (
            {},
            {"PET_NNODES": "1:3", "PET_NODE_RANK": "2", "PET_MASTER_ADDR": "m", "PET_NPROC_PER_NODE": "auto"},
            Topology(3, 2, 1, "m"),
        ),
        ({}, {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "m"}, Topology(2, 1, 1, "m")),
        (
            {},
            {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "m", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "x"},
            Topology(4, 3, 1, "m", 29501, 1),
        ),
        (
            {},
            {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "m", "TORCHELASTIC_RUN_ID": "x"},
            Topology(2, 1, 1, "127.0.0.1", device=0),
        ),
        ({"env": "none"}, {"WORLD_SIZE": "2", "RANK": "1"}, Topology()),
    ],
)  # fmt: skip
def test_a_launchers_variables_are_understood(
    runtime: dict[str, object], env: dict[str, str], expected: Topology
) -> None:
    assert topology_of(Runtime(device="cpu", **runtime), env) == expected


@pytest.mark.parametrize(
    ("runtime", "env", "words"),
    [
        ({"nodes": 2, "address": "m"}, {}, "nothing says which of them"),
        ({"nodes": 2}, {"JOB_COMPLETION_INDEX": "1"}, "nothing says where pod 0 is"),
        ({"nodes": 2, "address": "m"}, {"JOB_COMPLETION_INDEX": "2"}, "number is 2"),
        ({}, {"WORLD_SIZE": "two", "RANK": "1"}, "WORLD_SIZE='two' is not a number"),
    ],
)
def test_numbers_that_make_no_world_are_refused(
    runtime: dict[str, object], env: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        topology_of(Runtime(device="cpu", **runtime), env)


def test_pods_on_several_machines_must_know_each_other() -> None:
    strangers = Topology(nodes=2, node=1, address="a-0.b")
    with pytest.raises(SettingsError, match="FINETUNE_RUNTIME__PEER_TOKEN"):
        strangers.check_token()
    for known in (
        Topology(nodes=2, address="a-0.b", token="0123456789abcdef"),
        Topology(nodes=1, address="a-0.b"),
        Topology(nodes=2, address="127.0.0.1"),
        Topology(nodes=2, address="localhost"),
        Topology(nodes=2, address="::1"),
    ):
        known.check_token()
        assert "0123456789abcdef" not in repr(known)
    runtime = Runtime.model_validate(
        {"nodes": 2, "node": 0, "address": "a", "device": "cpu", "peer_token": "0123456789abcdef"}
    )
    assert topology_of(runtime, {}).token == "0123456789abcdef"


def test_a_worker_reads_what_its_supervisor_wrote() -> None:
    second = Topology(nodes=3, node=1, processes=2, address="a-0.b").membership(1, "x-1", Path("f"))
    assert second.environment() == {
        "RANK": "3",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "6",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "1",
        "MASTER_ADDR": "a-0.b",
        "MASTER_PORT": "29401",
        "WORLD_SERIAL": "x-1",
        "WORLD_MARKER": "f",
    }
    assert Membership.of(second.environment()) == second
    assert (second.first, second.first_of_node) == (False, False)
    assert Membership.of({"RANK": "3", "WORLD_SIZE": "6"}) == Membership(), "not a supervisor's"
