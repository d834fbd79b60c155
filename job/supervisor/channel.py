"""The control channel between the supervisors of a world's pods: JSON lines over TCP, all through pod 0.

A connection that breaks is a pod that is gone; TCP's keep-alive finds those that fell silent.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

CONNECT_SECONDS = 5.0
KEEP_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A node that lost its power is noticed within 20 s."""


class Kind(StrEnum):
    """What a message says."""

    HELLO = "hello"
    """To pod 0: this pod (`node`) is ready."""
    ENDED = "ended"
    """To pod 0: this pod's workers lost a peer in an attempt."""
    START = "start"
    """From pod 0: begin an attempt, unless it is under way."""
    STOP = "stop"
    """From pod 0: end the workers; another attempt follows."""
    FINISH = "finish"
    """From pod 0: the run is done."""
    REPLACED = "replaced"
    """From pod 0: another pod has connected with this one's number."""
    GONE = "gone"
    """Never sent: the connection is closed."""


@dataclass(frozen=True)
class Message:
    """One line on the wire."""

    kind: Kind
    attempt: str = ""
    """The name of the attempt that it is about."""
    node: int | None = None
    """The number of the pod that says hello."""

    def encode(self) -> bytes:
        """As it is sent."""
        fields = {"say": self.kind, "name": self.attempt or None, "node": self.node}
        return json.dumps({k: v for k, v in fields.items() if v is not None}).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Message:
        """As it was received.

        Raises:
            ValueError: it is cut short, or not a message.
        """
        fields = json.loads(line) if line.endswith(b"\n") else None
        if not isinstance(fields, dict):
            raise ValueError("not a message")
        node = fields.get("node")
        number = node if isinstance(node, int) else None
        return cls(Kind(str(fields.get("say"))), str(fields.get("name", "")), number)


class Connection:
    """Either end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        _keep_alive(writer.get_extra_info("socket"))

    async def receive(self) -> Message:
        """The next message; GONE when the connection is closed, or what comes is not a message."""
        try:
            return Message.decode(await self._reader.readline())
        except (OSError, ValueError):
            return Message(Kind.GONE)

    def send(self, message: Message) -> None:
        """Send a message; one to a pod that is gone is lost, and its loss shows in `receive`."""
        with suppress(OSError, RuntimeError):
            self._writer.write(message.encode())

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError, RuntimeError):
            self._writer.close()


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class ControlServer:
    """Pod 0's end: which pods are connected, and what they send."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[tuple[int, Message]] = asyncio.Queue()
        """Each message with the number of its pod, in the order of their arrival."""
        self._connections: dict[int, Connection] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        """Accept connections at every address.

        Raises:
            OSError: the port is taken.
        """
        self._server = await asyncio.start_server(self._accept, port=port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # at the end of the loop; asyncio would log that as an error
        with suppress(asyncio.CancelledError):
            await self._serve(Connection(reader, writer))

    async def _serve(self, connection: Connection) -> None:
        hello = await connection.receive()
        if hello.kind is not Kind.HELLO or hello.node is None:
            connection.close()
            return
        node = hello.node
        if older := self._connections.get(node):
            # the pod was recreated and its old one is not known to be gone: the new one counts
            older.send(Message(Kind.REPLACED))
            older.close()
            self.inbox.put_nowait((node, Message(Kind.GONE)))
        self._connections[node] = connection
        self.inbox.put_nowait((node, hello))
        while (message := await connection.receive()).kind is not Kind.GONE:
            self.inbox.put_nowait((node, message))
        connection.close()
        if self._connections.get(node) is connection:
            del self._connections[node]
            self.inbox.put_nowait((node, message))

    def send(self, node: int, message: Message) -> None:
        """Send a message to one pod, if it is connected."""
        if connection := self._connections.get(node):
            connection.send(message)

    def broadcast(self, message: Message) -> None:
        """Send a message to every pod that is connected."""
        for connection in self._connections.values():
            connection.send(message)

    async def close(self, seconds: float = 0.0) -> None:
        """Wait up to so many seconds for the others to hang up, then stop listening."""
        for _ in range(int(seconds / 0.05)):
            if not self._connections:
                break
            await asyncio.sleep(0.05)
        for connection in self._connections.values():
            connection.close()
        if self._server is not None:
            self._server.close()


async def connect(address: str, port: int, node: int) -> Connection | None:
    """Say hello to pod 0; None where its name is not known yet, or its port not open."""
    try:
        opening = asyncio.open_connection(address, port)
        reader, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
    except (TimeoutError, OSError):
        return None
    connection = Connection(reader, writer)
    connection.send(Message(Kind.HELLO, node=node))
    return connection
