"""The flag of SIGTERM, and what the work asks between two pieces."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from job.errors import Stopped
from job.runtime.stop import StopSignal, poll, polling


def asks(name: str, asked: list[str]) -> Callable[[], None]:
    return lambda: asked.append(name)


def test_without_anyone_to_ask_work_goes_on() -> None:
    poll()


def test_the_innermost_check_is_asked_and_the_outer_one_afterwards() -> None:
    asked: list[str] = []
    with polling(asks("outer", asked)):
        poll()
        with polling(asks("inner", asked)):
            poll()
        poll()
    poll()
    assert asked == ["outer", "inner", "outer"]


def test_the_outer_check_is_asked_after_a_stop_within_the_inner_one() -> None:
    asked: list[str] = []

    def stop() -> None:
        raise Stopped("stopped by a signal")

    with polling(asks("outer", asked)):
        with pytest.raises(Stopped), polling(stop):
            poll()
        poll()
    assert asked == ["outer"]


def test_a_thread_of_the_work_asks_nothing() -> None:
    """What it raised would end the thread and be lost."""
    asked: list[str] = []
    with polling(asks("work", asked)):
        thread = threading.Thread(target=poll)
        thread.start()
        thread.join()
        assert asked == []
        poll()
    assert asked == ["work"]


@pytest.fixture
def handlers() -> Iterator[None]:
    """The handlers of this process, put back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("handlers")
def test_a_signal_raises_the_flag_and_begins_the_grace_period(number: int) -> None:
    stop = StopSignal(30)
    stop.install()
    stop.poll()
    assert (stop.raised, stop.seconds_left) == (False, float("inf"))
    os.kill(os.getpid(), number)
    assert stop.raised
    assert stop.seconds_left <= 30
    with pytest.raises(Stopped, match="stopped by a signal"):
        stop.poll()
