"""A webhook's receiver: a web server that answers as it is told, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """What came in."""

    path: str
    headers: dict[str, str]
    """By names in small letters."""
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent."""
        return dict(json.loads(self.body))


@dataclass
class Receiver:
    """The server: what it has got, and what it answers next."""

    url: str
    requests: list[Request] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses of the next answers; 204 where none is left. A redirect leads to this server again."""
    delays: list[float] = field(default_factory=list)
    """Seconds before the next answers."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A running one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            it.requests.append(Request(self.path, headers, body))
            time.sleep(it.delays.pop(0) if it.delays else 0)
            status = it.answers.pop(0) if it.answers else 204
            self.send_response(status)
            if status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield it
        finally:
            server.shutdown()
            thread.join()
