"""Notes before training, through a real TCPStore."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from job.distributed.membership import Membership
from job.distributed.rendezvous import Rendezvous
from job.errors import PeerLost, Stopped
from job.runtime.stop import polling
from job.supervisor.topology import Topology
from tests.faults.pods import free_port


def world_of(size: int, processes: int = 1) -> list[Rendezvous]:
    """The rendezvous of each rank; rank 0 must be asked first, which holds the store."""
    port = free_port()
    return [
        Rendezvous(
            Membership(
                rank=rank,
                size=size,
                node=rank // processes,
                processes=processes,
                port=port,
                serial="x",
            ),
            peer_wait=5,
        )
        for rank in range(size)
    ]


def test_what_one_rank_publishes_the_others_read() -> None:
    first, second = world_of(2)
    first.publish("a", {"step": [1, None]})
    assert first.wait_for("a") == second.wait_for("a") == {"step": [1, None]}
    assert (second.has("a"), second.has("b")) == (True, False)


def test_a_later_attempt_reads_nothing_of_an_earlier_one() -> None:
    first, _ = world_of(2)
    first.publish("a", 1)
    earlier = first._membership
    later = Rendezvous(Membership(rank=1, size=2, port=earlier.port, serial="y"), peer_wait=5)
    assert not later.has("a")


def test_one_rank_of_each_pod_makes_what_all_of_the_pod_get() -> None:
    made: list[int] = []
    ranks = world_of(4, processes=2)
    ranks[0].publish("open", True)  # opens the store

    def make(rank: int) -> int:
        made.append(rank)
        return rank

    got = [each.once_per_node("a", partial(make, rank)) for rank, each in enumerate(ranks)]
    assert got == [0, 0, 2, 2]
    assert made == [0, 2]


def test_what_rank_0_has_made_already_it_publishes_to_its_pod() -> None:
    ranks = world_of(4, processes=2)
    ranks[0].publish_to_node("a", "here")
    assert ranks[1].once_per_node("a", lambda: "made again") == "here"
    assert not ranks[2].has("a/1")


def test_all_are_waited_for_and_the_missing_ones_named() -> None:
    first, second = world_of(2)
    first.announce()
    waiting = threading.Thread(target=first.wait_for_all)
    waiting.start()
    second.announce()
    waiting.join(20)
    assert not waiting.is_alive()
    lonely = Rendezvous(Membership(size=3, port=free_port(), serial="x"), peer_wait=0.2)
    lonely.announce()
    with pytest.raises(PeerLost, match=r"2 of 3 processes did not come within 0\.2 s") as caught:
        lonely.wait_for_all()
    assert "ready/1, ready/2" in caught.value.message
    assert not caught.value.rejoins


def test_the_first_rank_that_does_not_come_is_waited_for_and_given_up() -> None:
    second = Rendezvous(Membership(rank=1, size=2, port=free_port(), serial="x"), peer_wait=0.1)
    with pytest.raises(PeerLost, match="was not reached") as caught:
        second.wait_for("attempt")
    assert not caught.value.rejoins


def test_the_first_pod_needs_no_name_of_its_own() -> None:
    """Its Service may know it some seconds later than it needs it."""
    topology = Topology(2, 0, 1, "not-yet.invalid", free_port())
    rendezvous = Rendezvous(topology.membership(0, "x"), peer_wait=5)
    rendezvous.publish("a", 1)
    assert rendezvous.wait_for("a") == 1


def test_a_rank_that_waits_is_stopped() -> None:
    def stop() -> None:
        raise Stopped("stopped by a signal")

    first, _ = world_of(2)
    first.publish("a", 1)
    with pytest.raises(Stopped), polling(stop):
        first.wait_for("never published")
