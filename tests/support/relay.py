"""An HTTP relay that breaks answers on purpose, between a client and a real server."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Relay:
    """What to break: how many answers to each method, and what was seen."""

    target: tuple[str, int]
    drop: dict[str, int] = field(default_factory=dict)  # no answer at all
    cut: dict[str, int] = field(default_factory=dict)  # half of the body
    collide: dict[str, int] = field(default_factory=dict)  # 409 in the server's place
    down: bool = False  # nothing reaches the server any more
    slow: float = 0  # seconds before each 64 KiB of a body
    late: dict[str, int] = field(default_factory=dict)  # done at once, and answered after `seconds`
    seconds: float = 0
    seen: list[tuple[str, int]] = field(default_factory=list)  # method, status
    url: str = ""


@contextmanager
def relay(host: str, port: int) -> Iterator[Relay]:
    """Forward every request to host:port; `url` is where to send them."""
    state = Relay((host, port))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if state.down:
                self.close_connection = True
                return
            if _take(state.collide, self.command):
                state.seen.append((self.command, 409))
                content = b"<Error><Code>ConditionalRequestConflict</Code></Error>"
                self.send_response(409)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return
            upstream = http.client.HTTPConnection(*state.target, timeout=30)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "expect":
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            content = answer.read()
            state.seen.append((self.command, answer.status))
            if _take(state.drop, self.command):
                self.close_connection = True
                return
            if _take(state.late, self.command):
                time.sleep(state.seconds)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            if answer.getheader("Content-Length") is None:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if _take(state.cut, self.command):
                content = content[: len(content) // 2]
                self.close_connection = True
            if self.command != "HEAD":
                with suppress(ConnectionError):  # the client has gone
                    for start in range(0, len(content), 1 << 16):
                        time.sleep(state.slow)
                        self.wfile.write(content[start : start + (1 << 16)])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def _take(counts: dict[str, int], method: str) -> bool:
    if counts.get(method, 0) > 0:
        counts[method] -= 1
        return True
    return False
