"""The control channel between the supervisors of a world's pods: JSON lines over TCP, all through pod 0.

Both ends first prove that they know the run's token (`job.supervisor.proof`). A connection that breaks
is a pod that is gone; TCP's keep-alive finds those that fell silent.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from job.supervisor import proof
from job.supervisor.topology import Topology

CONNECT_SECONDS = 5.0
PROOF_SECONDS = 5.0
"""For the other end to prove itself."""
LINE_BYTES = 1024
"""No message is longer."""
UNPROVEN = 64
"""Connections that may be open at pod 0 before they have proven themselves."""
KEEP_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A node that lost its power is noticed within 20 s."""


class Kind(StrEnum):
    """What a message says."""

    CHALLENGE = "challenge"
    """From pod 0, first of all: a number to prove oneself with."""
    HELLO = "hello"
    """To pod 0: this pod (`node`) is ready, and belongs to the run."""
    WELCOME = "welcome"
    """From pod 0: so does it."""
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
    nonce: str = ""
    """What the other end proves itself with."""
    proof: str = ""
    """That the sender knows the run's token."""

    def encode(self) -> bytes:
        """As it is sent."""
        fields = {
            "say": self.kind,
            "name": self.attempt or None,
            "node": self.node,
            "nonce": self.nonce or None,
            "proof": self.proof or None,
        }
        return json.dumps({k: v for k, v in fields.items() if v is not None}).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Message:
        """As it was received.

        Raises:
            ValueError: it is cut short, or not a message.
        """
        try:
            fields = json.loads(line) if line.endswith(b"\n") else None
        except RecursionError:
            fields = None
        if not isinstance(fields, dict):
            raise ValueError("not a message")
        node = fields.get("node")
        return cls(
            Kind(str(fields.get("say"))),
            str(fields.get("name", "")),
            node if type(node) is int else None,
            str(fields.get("nonce", "")),
            str(fields.get("proof", "")),
        )


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

    async def receive_soon(self) -> Message:
        """The same; GONE also where nothing comes in time."""
        try:
            return await asyncio.wait_for(self.receive(), PROOF_SECONDS)
        except TimeoutError:
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
    """Pod 0's end: which of the run's other pods are connected, and what they send."""

    def __init__(self, topology: Topology) -> None:
        self.inbox: asyncio.Queue[tuple[int, Message]] = asyncio.Queue()
        """Each message with the number of its pod, in the order of their arrival."""
        self._topology = topology
        self._unproven = 0
        self._connections: dict[int, Connection] = {}
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Accept connections at every address; on one machine, from that machine alone.

        Raises:
            OSError: the port is taken.
        """
        host = self._topology.address if self._topology.on_one_machine else None
        self._server = await asyncio.start_server(
            self._accept, host, self._topology.port, limit=LINE_BYTES
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # at the end of the loop; asyncio would log that as an error
        with suppress(asyncio.CancelledError):
            await self._serve(Connection(reader, writer))

    async def _serve(self, connection: Connection) -> None:
        hello = await self._admit(connection)
        if hello is None or hello.node is None:
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

    async def _admit(self, connection: Connection) -> Message | None:
        """What the other end says hello with; None where it does not prove to be one of the other pods."""
        if self._unproven >= UNPROVEN:
            return None
        self._unproven += 1
        try:
            challenge = proof.nonce()
            connection.send(Message(Kind.CHALLENGE, nonce=challenge))
            hello = await connection.receive_soon()
        finally:
            self._unproven -= 1
        token, node = self._topology.token, hello.node
        if hello.kind is not Kind.HELLO or node not in range(1, self._topology.nodes):
            return None
        said = (challenge, hello.nonce, node)
        if not proof.holds(hello.proof, token, proof.OTHER_POD, *said):
            return None
        connection.send(Message(Kind.WELCOME, proof=proof.of(token, proof.FIRST_POD, *said)))
        return hello

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


class NotOfThisRun(Exception):
    """What answers in pod 0's place and this pod do not take each other for pods of one run."""


async def connect(topology: Topology) -> Connection | None:
    """Say hello to pod 0; None where its name is not known yet, or its port not open.

    Raises:
        NotOfThisRun: pod 0 has another token, or hung up; or it is another program.
    """
    try:
        opening = asyncio.open_connection(topology.address, topology.port, limit=LINE_BYTES)
        reader, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
    except (TimeoutError, OSError):
        return None
    connection = Connection(reader, writer)
    try:
        await _prove(connection, topology)
    except BaseException:
        connection.close()
        raise
    return connection


async def _prove(connection: Connection, topology: Topology) -> None:
    challenge, nonce = await connection.receive_soon(), proof.nonce()
    said = (challenge.nonce, nonce, topology.node)
    shown = proof.of(topology.token, proof.OTHER_POD, *said)
    connection.send(Message(Kind.HELLO, node=topology.node, nonce=nonce, proof=shown))
    welcome = await connection.receive_soon()
    if not (
        welcome.kind is Kind.WELCOME
        and proof.holds(welcome.proof, topology.token, proof.FIRST_POD, *said)
    ):
        raise NotOfThisRun
