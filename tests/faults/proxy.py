"""A proxy between the job and its S3 server that answers badly on purpose, at rates that a test names."""

from __future__ import annotations

import hashlib
import http.client
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import unescape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.servers import ADMIN

ANSWERS = {
    "error_500": (500, "InternalError"),
    "error_503": (503, "ServiceUnavailable"),
    "slow_down": (503, "SlowDown"),
    "forbidden": (403, "AccessDenied"),
    "conflict": (409, "ConditionalRequestConflict"),
}
"""Faults that are an answer of the proxy's own."""
PAGE = b"<html><head><title>Sign in</title></head><body>Session expired.</body></html>"
ONLY = {
    "flip": "read",
    "cut_put": "put",
    "lose_put": "put",
    "drop_conditional": "conditional",
    "conflict": "conditional",
}
"""Faults that befall only requests of a kind."""


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
    conflict: float = 0.0
    """409 in answer to a conditional put, which has not reached the server."""
    flip: float = 0.0
    """One bit of the body of what is read, a listing too."""
    page: float = 0.0
    """200 and a web page, in place of anything that is asked for."""
    cut_put: float = 0.0
    """Half of what is put is stored, and success is reported."""
    lose_put: float = 0.0
    """Nothing of what is put is stored, and success is reported, with the ETag that it would have."""


class FaultyProxy:
    """Listens on loopback while it is entered; `faults` may be changed meanwhile.

    Args:
        target: the server's URL.
        faults: the rates to begin with.
        seed: of the draws.
        watch: told of every write, `before` it reaches the server and `after` the server has done it
            and before the client hears of it: method, key.
        removing: told, before the server is, of keys that are to be removed.
        credentials: of the server, to sign what was changed on the way.
    """

    def __init__(
        self,
        target: str,
        faults: Faults,
        seed: int = 0,
        watch: Callable[[str, str, str], None] = lambda when, method, key: None,
        removing: Callable[[list[str]], None] = lambda keys: None,
        credentials: tuple[str, str] = ADMIN,
    ) -> None:
        self.watch, self.removing = watch, removing
        self.credentials = Credentials(*credentials)
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

    def drawn(self, kinds: Container[str]) -> str:
        """The fault of the next request, or nothing; counted.

        Args:
            kinds: what the request is, of those in ONLY.
        """
        with self._lock:
            self.counts["requests"] += 1
            draw = self._random.random()
            for field in fields(self.faults):
                if field.name in ONLY and ONLY[field.name] not in kinds:
                    continue
                draw -= getattr(self.faults, field.name)
                if draw < 0:
                    self.counts[field.name] += 1
                    return field.name
        return ""

    def flipped(self, content: bytes) -> bytes:
        """The same but for one bit."""
        with self._lock:
            bit = self._random.randrange(8 * len(content))
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)


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
        fault = proxy.drawn(self._kinds())
        if fault == "reset":
            self._reset()
            return
        body = self.rfile.read(int(headers.get("Content-Length") or 0))
        if fault in ANSWERS:
            self._answer(*ANSWERS[fault])
            return
        if fault == "page":
            self._send(200, {"Content-Type": "text/html"}, b"" if self.command == "HEAD" else PAGE)
            return
        if fault == "lose_put":
            self._send(200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b"")
            return
        if fault == "delay":
            time.sleep(0.2)
        response, content = self._done(body, fault)
        if fault.startswith("drop"):
            self._reset()
            return
        if fault == "flip" and content and response.status < 300:
            content = proxy.flipped(content)
        given = dict(response.getheaders())
        length = response.getheader("Content-Length") if self.command == "HEAD" else None
        cut = fault == "truncate" and bool(content)
        self._send(response.status, given, content, length=length, cut=cut)

    def _kinds(self) -> set[str]:
        """What the request is, of the kinds in ONLY."""
        kinds = {"GET": {"read"}, "PUT": {"put"}}.get(self.command, set())
        named = {name.lower() for name in self.headers}
        if self.command == "PUT" and {"if-match", "if-none-match"} & named:
            kinds |= {"conditional"}
        return kinds

    def _done(self, body: bytes, fault: str) -> tuple[http.client.HTTPResponse, bytes]:
        """What the server does and answers, with those told of it who want to be."""
        proxy, key = self.proxy, urlsplit(self.path).path
        writes = self.command in ("PUT", "POST", "DELETE")
        if writes:
            proxy.watch("before", self.command, key)
        if self.command == "DELETE":
            proxy.removing([key.split("/", 2)[2]])
        elif self.command == "POST" and urlsplit(self.path).query.startswith("delete"):
            proxy.removing([unescape(k) for k in re.findall(r"<Key>(.*?)</Key>", body.decode())])
        if fault == "cut_put":
            done = self._forward(body[: len(body) // 2], self._signed(body[: len(body) // 2]))
        else:
            done = self._forward(body, list(self.headers.items()))
        if writes:
            proxy.watch("after", self.command, key)
        return done

    def _signed(self, body: bytes) -> list[tuple[str, str]]:
        """The headers for another body than the client has signed."""
        kept = ("if-match", "if-none-match", "content-type")
        headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
        request = AWSRequest(self.command, self.proxy.target.geturl() + self.path, headers, body)
        S3SigV4Auth(self.proxy.credentials, "s3", "us-east-1").add_auth(request)
        prepared = dict(request.prepare().headers.items())
        prepared |= {"Host": self.proxy.target.netloc, "Content-Length": str(len(body))}
        return [(str(name), _text(value)) for name, value in prepared.items()]

    def _send(
        self,
        status: int,
        headers: Mapping[str, str],
        content: bytes,
        *,
        length: str | None = None,
        cut: bool = False,
    ) -> None:
        """Answer the client, with half of the content if it is to be cut."""
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if cut:
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _request  # noqa: N815 - the base's names

    def _forward(
        self, body: bytes, headers: list[tuple[str, str]]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The server's answer; headers go as they are, since the signature covers them."""
        target = self.proxy.target
        for fresh in (False, True):
            if self.upstream is None or fresh:
                self.upstream = http.client.HTTPConnection(str(target.hostname), target.port)
            try:
                self.upstream.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in headers:
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
        self._send(status, {"Content-Type": "application/xml"}, content)

    def _reset(self) -> None:
        """A reset, not an end: what is closed with unsent data and no lingering is reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
