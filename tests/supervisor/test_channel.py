"""What pods say to each other, and how one takes another's place."""

from __future__ import annotations

import asyncio
import json

from job.supervisor.channel import Connection, ControlServer, Kind, Message, connect
from tests.faults.pods import free_port


async def connected(port: int, node: int) -> Connection:
    connection = await connect("127.0.0.1", port, node)
    assert connection is not None
    return connection


def test_a_second_pod_with_the_same_number_takes_the_first_ones_place() -> None:
    async def play() -> list[tuple[int, Kind]]:
        server, port = ControlServer(), free_port()
        assert await connect("127.0.0.1", port, 1) is None, "the port is not open yet"
        assert await connect("no.such.name.invalid", port, 1) is None
        await server.listen(port)
        one = await connected(port, 1)
        received = [await server.inbox.get()]
        two = await connected(port, 1)
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
        Message(Kind.HELLO, node=0): {"say": "hello", "node": 0},
        Message(Kind.ENDED, "a-1"): {"say": "ended", "name": "a-1"},
        Message(Kind.START, "a-1"): {"say": "start", "name": "a-1"},
        Message(Kind.STOP): {"say": "stop"},
        Message(Kind.FINISH): {"say": "finish"},
        Message(Kind.REPLACED): {"say": "replaced"},
    }
    for message, fields in lines.items():
        assert json.loads(message.encode()) == fields
        assert Message.decode(message.encode()) == message


def test_what_is_not_a_message_ends_the_connection() -> None:
    async def play(line: bytes) -> int:
        server, port = ControlServer(), free_port()
        await server.listen(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line)
        assert await reader.read() == b""
        writer.close()
        await server.close()
        return server.inbox.qsize()

    for line in (
        b"GET / HTTP/1.1\n",
        b'{"say": "start"}\n',
        b'{"say": "hello", "node": "x"}\n',
        b"7\n",
    ):
        assert asyncio.run(play(line)) == 0
