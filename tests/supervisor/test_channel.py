"""What pods say to each other, whom they believe, and how one takes another's place."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from job.supervisor import channel, proof
from job.supervisor.channel import (
    LINE_BYTES,
    Connection,
    ControlServer,
    Kind,
    Message,
    NotOfThisRun,
    connect,
)
from job.supervisor.topology import Topology
from tests.faults.pods import free_port

TOKEN = "known to the pods of one run"


def pods(nodes: int = 3) -> list[Topology]:
    """Every pod's view of a world."""
    port = free_port()
    return [Topology(nodes, n, address="127.0.0.1", port=port, token=TOKEN) for n in range(nodes)]


async def connected(pod: Topology) -> Connection:
    connection = await connect(pod)
    assert connection is not None
    return connection


def test_a_second_pod_with_the_same_number_takes_the_first_ones_place() -> None:
    async def play() -> list[tuple[int, Kind]]:
        first, pod1, _ = pods()
        server = ControlServer(first)
        assert await connect(pod1) is None, "the port is not open yet"
        assert await connect(replace(pod1, address="no.such.name.invalid")) is None
        await server.listen()
        one = await connected(pod1)
        received = [await server.inbox.get()]
        two = await connected(pod1)
        received += [await server.inbox.get(), await server.inbox.get()]
        assert (await one.receive()).kind is Kind.REPLACED
        assert (await one.receive()).kind is Kind.GONE
        server.broadcast(Message(Kind.START, "a"))
        assert await two.receive() == Message(Kind.START, "a")
        server.send(1, Message(Kind.STOP))
        server.send(2, Message(Kind.FINISH))
        assert await two.receive() == Message(Kind.STOP)
        two.close()
        received.append(await server.inbox.get())
        await server.close()
        return [(node, message.kind) for node, message in received]

    assert asyncio.run(play()) == [(1, Kind.HELLO), (1, Kind.GONE), (1, Kind.HELLO), (1, Kind.GONE)]


def test_messages_are_lines_of_json() -> None:
    lines = {
        Message(Kind.CHALLENGE, nonce="n"): {"say": "challenge", "nonce": "n"},
        Message(Kind.HELLO, node=1, nonce="m", proof="p"): dict(
            zip(("say", "node", "nonce", "proof"), ("hello", 1, "m", "p"), strict=True)
        ),
        Message(Kind.ENDED, "a-1"): {"say": "ended", "name": "a-1"},
        Message(Kind.START, "a-1"): {"say": "start", "name": "a-1"},
        Message(Kind.STOP): {"say": "stop"},
        Message(Kind.FINISH): {"say": "finish"},
        Message(Kind.REPLACED): {"say": "replaced"},
    }
    for message, fields in lines.items():
        assert json.loads(message.encode()) == fields
        assert Message.decode(message.encode()) == message


HELLO = Message(Kind.HELLO, node=1, nonce="n", proof="0" * 64)


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\n",
        b'{"say": "start"}\n',
        b'{"say": "hello", "node": "x"}\n',
        b"7\n",
        b"[" * (LINE_BYTES - 1) + b"\n",
        b"x" * 10 * LINE_BYTES,
        b'{"say": "hello", "node": true}\n',
        b'{"say": "hello", "node": 1, "proof": ["a"]}\n',
        b'{"say": "hello", "node": 1, "proof": "\xc3\xa9"}\n',
        HELLO.encode(),
        replace(HELLO, node=4711).encode(),
    ],
)
def test_a_stranger_is_not_heard_and_disturbs_nobody(line: bytes) -> None:
    async def play() -> None:
        first, pod1, _ = pods()
        server = ControlServer(first)
        await server.listen()
        real = await connected(pod1)
        await server.inbox.get()
        reader, writer = await asyncio.open_connection("127.0.0.1", first.port)
        assert Message.decode(await reader.readline()).kind is Kind.CHALLENGE
        writer.write(line)
        assert await reader.read() == b""
        writer.close()
        assert server.inbox.empty()
        server.broadcast(Message(Kind.START, "a"))
        assert await real.receive() == Message(Kind.START, "a"), "it kept its place"
        await server.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    "changed", [{"token": "another run's"}, {"token": ""}, {"node": 0}, {"node": 3}, {"node": -1}]
)
def test_who_cannot_be_a_pod_of_the_run_is_refused(changed: dict[str, object]) -> None:
    async def play() -> int:
        first, pod1, _ = pods()
        server = ControlServer(first)
        await server.listen()
        with pytest.raises(NotOfThisRun):
            await connect(replace(pod1, **changed))  # type: ignore[arg-type] # fields by name
        await server.close()
        return server.inbox.qsize()

    assert asyncio.run(play()) == 0


def test_nothing_that_was_overheard_can_be_said_again() -> None:
    """Another run's pod, which hears all that pod 1 says, and says the same to pod 0."""

    async def play() -> None:
        first, pod1, _ = pods()
        server = ControlServer(first)
        await server.listen()
        heard: list[bytes] = []

        async def overhear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # to the pod it says what pod 0 would have said first
            writer.write(Message(Kind.CHALLENGE, nonce="0" * 32).encode())
            heard.append(await reader.readline())
            hello = Message.decode(heard[0])
            echoed = Message(Kind.WELCOME, proof=hello.proof)  # its own words
            writer.write(echoed.encode())

        false, port = None, free_port()
        false = await asyncio.start_server(overhear, "127.0.0.1", port)
        with pytest.raises(NotOfThisRun):
            await connect(replace(pod1, port=port))
        assert TOKEN.encode() not in heard[0]
        reader, writer = await asyncio.open_connection("127.0.0.1", first.port)
        await reader.readline()
        writer.write(heard[0])
        assert await reader.read() == b""
        writer.close()
        false.close()
        await server.close()

    asyncio.run(play())


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PROOF_SECONDS", 0.1)
    monkeypatch.setattr(channel, "UNPROVEN", 1)

    async def play() -> None:
        first, pod1, _ = pods()
        server = ControlServer(first)
        await server.listen()
        silent, writer = await asyncio.open_connection("127.0.0.1", first.port)
        await silent.readline()
        crowded, other = await asyncio.open_connection("127.0.0.1", first.port)
        assert await crowded.read() == b"", "one at a time"
        assert await silent.read() == b""
        writer.close()
        other.close()
        (await connected(pod1)).close()
        await server.close()

    asyncio.run(play())


def test_a_proof_is_of_all_that_was_said() -> None:
    said = ("token", proof.OTHER_POD, "a", "b", 1)
    assert proof.holds(proof.of(*said), *said)
    for number, other in enumerate(("x", proof.FIRST_POD, "ab", "", 2)):
        changed = [*said[:number], other, *said[number + 1 :]]
        assert not proof.holds(proof.of(*said), *changed)  # type: ignore[arg-type] # as they stand
