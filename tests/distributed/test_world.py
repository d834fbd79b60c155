"""A worker's view of its world."""

from __future__ import annotations

from pathlib import Path

from job.distributed.membership import Membership
from job.distributed.rendezvous import Rendezvous
from job.distributed.world import World
from job.settings import Runtime
from tests.faults.pods import free_port


def test_a_world_of_one_needs_nobody() -> None:
    world = World(Runtime(), Membership())
    world.rendezvous.publish("a", 1)
    world.join()
    assert world.first
    assert world.any(True, False) == (True, False)
    assert world.gather(3) == [3]
    assert world.agreed("x") == "x"
    assert world.smallest(3) == 3
    assert not world.training_ended()
    world.stop_together()
    world.end_training()


def test_a_socket_for_one_pods_own_processes_is_the_machines_alone() -> None:
    port = free_port()
    pod = Membership(rank=0, size=1, processes=1, port=port, serial="a")
    rendezvous = Rendezvous(pod, peer_wait=5)
    rendezvous.store.set("note", "x")
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    rows = [line.split() for line in listening.splitlines()]
    at = {row[1] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    assert at == {f"0100007F:{port:04X}"}
