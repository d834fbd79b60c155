"""What the supervisors of a world's pods tell each other: JSON lines over TCP, all through pod 0.

`hello` (a pod is here), `ended` (its workers lost a peer), and from pod 0 `start`, `stop`, `finish`.
A connection that breaks is a pod that is gone; the kernel's keep-alive finds those that fell silent.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """Something that a pod said, or that it is gone."""

    node: int
    said: str
    message: Message


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        _keep_alive(writer.get_extra_info("socket"))

    async def hear(self) -> Message | None:
        """The next message; None when the connection is gone."""
        try:
            line = await self._reader.readline()
            found = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and "say" in found else None

    def say(self, what: str, **more: Any) -> None:
        """Send a message; one to a pod that is gone is lost, and its loss is heard of."""
        with suppress(OSError, RuntimeError):
            self._writer.write(json.dumps({"say": what, **more}).encode() + b"\n")

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError, RuntimeError):
            self._writer.close()


def _keep_alive(connection: socket.socket) -> None:
    """A node that lost its power is noticed within 20 s."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Switchboard:
    """Pod 0's side: who is here, and what they say."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self._lines: dict[int, Line] = {}
        self._server: asyncio.Server | None = None

    async def open(self, port: int) -> None:
        """Listen on every address."""
        self._server = await asyncio.start_server(self._serve, port=port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        hello = await line.hear()
        if hello is None or hello["say"] != "hello" or not isinstance(hello.get("node"), int):
            line.close()
            return
        node = hello["node"]
        if before := self._lines.get(node):
            # the pod was made anew and its old one is not known to be gone: the new one counts
            before.say("replaced")
            before.close()
            self.heard.put_nowait(Heard(node, "gone", {}))
        self._lines[node] = line
        self.heard.put_nowait(Heard(node, "hello", hello))
        while (message := await line.hear()) is not None:
            self.heard.put_nowait(Heard(node, message["say"], message))
        line.close()
        if self._lines.get(node) is line:
            del self._lines[node]
            self.heard.put_nowait(Heard(node, "gone", {}))

    def say(self, what: str, node: int | None = None, **more: Any) -> None:
        """Tell one pod, or all that are here."""
        for number, line in list(self._lines.items()):
            if node in (None, number):
                line.say(what, **more)

    async def close(self, seconds: float) -> None:
        """Wait a little for the others to hang up, then stop listening."""
        for _ in range(int(seconds / 0.05)):
            if not self._lines:
                break
            await asyncio.sleep(0.05)
        for line in self._lines.values():
            line.close()
        if self._server is not None:
            self._server.close()


async def call(address: str, port: int, node: int) -> Line | None:
    """Report to pod 0; None where its name is not known yet, or nobody answers."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 5)
    except (TimeoutError, OSError):
        return None
    line = Line(reader, writer)
    line.say("hello", node=node)
    return line
