"""A proxy between the job and its S3 server that answers badly on purpose, at rates that a test names."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ANSWERS = {
    "error_500": (500, "InternalError"),
    "error_503": (503, "ServiceUnavailable"),
    "slow_down": (503, "SlowDown"),
    "forbidden": (403, "AccessDenied"),
}
"""Faults that are an answer of the proxy's own."""


@dataclass(frozen=True)
class Faults:
    """The part of the requests that each fault befalls; at most one befalls a request."""

    error_500: float = 0.0
    error_503: float = 0.0
    slow_down: float = 0.0
    forbidden: float = 0.0
    reset: float = 0.0
    """The connection is reset before the request reaches the server."""
    delay: float = 0.0
    """The request is held back for a fifth of a second."""
    truncate: float = 0.0
    """Half of the answer's body, then the end of the connection."""
    drop_response: float = 0.0
    """The server does what it was asked, and its answer is lost."""
    drop_conditional: float = 0.0
    """The same, of conditional puts alone: the client's retry meets its own write."""


class FaultyProxy:
    """Listens on loopback while it is entered; `faults` may be changed meanwhile.

    Args:
        target: the server's URL.
        faults: the rates to begin with.
        seed: of the draws.
        watch: told of every write, `before` it reaches the server and `after` the server has done it
            and before the client hears of it: method, key.
    """

    def __init__(
        self,
        target: str,
        faults: Faults,
        seed: int = 0,
        watch: Callable[[str, str, str], None] = lambda when, method, key: None,
    ) -> None:
        self.watch = watch
        self.target, self.faults = urlsplit(target), faults
        self.counts: Counter[str] = Counter()
        self._random, self._lock = random.Random(seed), threading.Lock()
        proxy = self

        class Handler(_Handler):
            pass

        Handler.proxy = proxy
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def drawn(self, conditional: bool) -> str:
        """The fault of the next request, or nothing; counted."""
        with self._lock:
            self.counts["requests"] += 1
            draw = self._random.random()
            for field in fields(self.faults):
                if field.name == "drop_conditional" and not conditional:
                    continue
                draw -= getattr(self.faults, field.name)
                if draw < 0:
                    self.counts[field.name] += 1
                    return field.name
        return ""


class _Handler(BaseHTTPRequestHandler):
    """One client's connection, with a connection of its own to the server."""

    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy
    upstream: http.client.HTTPConnection | None = None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base's
        """The counts are all that is said."""

    def handle(self) -> None:
        """A client that hangs up is no error here."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def _request(self) -> None:
        proxy, headers = self.proxy, self.headers
        conditional = self.command == "PUT" and bool(
            {"if-match", "if-none-match"} & {h.lower() for h in headers}
        )
        fault = proxy.drawn(conditional)
        if fault == "reset":
            self._reset()
            return
        body = self.rfile.read(int(headers.get("Content-Length") or 0))
        if fault in ANSWERS:
            self._answer(*ANSWERS[fault])
            return
        if fault == "delay":
            time.sleep(0.2)
        writes, key = self.command in ("PUT", "POST", "DELETE"), urlsplit(self.path).path
        if writes:
            proxy.watch("before", self.command, key)
        response, content = self._forward(body)
        if writes:
            proxy.watch("after", self.command, key)
        if fault.startswith("drop"):
            self._reset()
            return
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = (
            response.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        )
        if length is not None and response.status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        if fault == "truncate" and content:
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _request  # noqa: N815 - the base's names

    def _forward(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """The server's answer; headers go as they came, since the signature covers them."""
        target = self.proxy.target
        for fresh in (False, True):
            if self.upstream is None or fresh:
                self.upstream = http.client.HTTPConnection(str(target.hostname), target.port)
            try:
                self.upstream.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in self.headers.items():
                    if name.lower() != "expect":
                        self.upstream.putheader(name, value)
                self.upstream.endheaders(body or None)
                response = self.upstream.getresponse()
                return response, response.read()
            except (OSError, http.client.HTTPException):
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def _answer(self, status: int, code: str) -> None:
        text = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>on purpose</Message></Error>"
        )
        content = b"" if self.command == "HEAD" else text.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        """A reset, not an end: what is closed with unsent data and no lingering is reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
