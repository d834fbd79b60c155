"""A worker's view of its world."""

from __future__ import annotations

from job.distributed.membership import Membership
from job.distributed.world import World
from job.settings import Runtime


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
