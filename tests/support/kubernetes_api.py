"""An API server for tests: the real protocol over HTTP, with objects in memory and no controllers.

It answers get, list by labels, create, merge patch and delete under /api and /apis, with the Status
objects, uids and resource versions of the real one, 409 for names that exist, and 401 and 403 for tokens
that are unknown or may not. tests/e2e asks the same of a real cluster.
"""

from __future__ import annotations

import json
import secrets
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Body = dict[str, Any]
NAMESPACE = "team"


@dataclass
class Api:
    """What the server holds, and what it was asked."""

    url: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    objects: dict[tuple[str, str], Body] = field(default_factory=dict)
    """By collection, such as `/apis/batch/v1/namespaces/team/jobs`, and name."""
    asked: list[str] = field(default_factory=list)
    """`POST jobs` and the like, in order."""
    forbidden: set[str] = field(default_factory=set)
    """Of these, those that are answered with 403."""
    failures: int = 0
    """So many requests from now are answered with 500."""
    _version: int = 0

    def all(self, plural: str) -> list[Body]:
        """The objects of a kind."""
        return [body for (where, _), body in self.objects.items() if where.endswith(f"/{plural}")]

    def one(self, plural: str) -> Body:
        """The only object of a kind."""
        (body,) = self.all(plural)
        return body

    def events(self, name: str = "") -> list[tuple[str, str]]:
        """Reason and message of the Events, about the object of this name or all."""
        return [
            (event["reason"], event["message"])
            for event in self.all("events")
            if name in ("", event["involvedObject"]["name"])
        ]

    def stamp(self, body: Body) -> Body:
        """A new resource version."""
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        return body

    def kubeconfig(self, folder: Path) -> Path:
        """A file for KUBECONFIG."""
        path = folder / "kubeconfig"
        names = {"cluster": "test", "user": "test", "namespace": NAMESPACE}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": {"server": self.url}}],
                    "users": [{"name": "test", "user": {"token": self.token}}],
                    "contexts": [{"name": "test", "context": names}],
                }
            )
        )
        return path


@contextmanager
def api_server() -> Iterator[Api]:
    """A running server, on loopback."""
    api, lock = Api(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            return

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            data = self.rfile.read(length)
            with lock:
                status, answer = _answer(api, self.command, self.path, self.headers, data)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - the library finds them by name

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def _answer(api: Api, method: str, url: str, headers: Any, data: bytes) -> tuple[int, Body]:
    parts = urlsplit(url)
    path = parts.path.strip("/").split("/")
    depth = 5 if path[0] == "api" else 6
    where, name = "/" + "/".join(path[:depth]), "/".join(path[depth:])
    api.asked.append(f"{method} {path[depth - 1]}")
    if api.failures:
        api.failures -= 1
        return _status(500, "InternalError", "the server has a bad moment")
    if headers.get("Authorization") != f"Bearer {api.token}":
        return _status(401, "Unauthorized", "Unauthorized")
    if api.asked[-1] in api.forbidden:
        return _status(403, "Forbidden", f"{path[depth - 1]} is forbidden: User cannot do that")
    if method == "GET" and not name:
        return 200, _listed(api, where, parse_qs(parts.query))
    if method == "POST":
        return _create(api, where, json.loads(data))
    body = api.objects.get((where, name))
    if body is None:
        return _status(404, "NotFound", f'{path[depth - 1]} "{name}" not found')
    if method == "PATCH":
        if headers.get("Content-Type") != "application/merge-patch+json":
            return _status(415, "UnsupportedMediaType", "merge patches alone")
        _merge(body, json.loads(data))
        api.stamp(body)
    elif method == "DELETE":
        del api.objects[where, name]
    return 200, body


def _listed(api: Api, where: str, query: dict[str, list[str]]) -> Body:
    selector = query.get("labelSelector", [""])[0]
    wanted = dict(pair.split("=", 1) for pair in selector.split(",") if pair)
    items = []
    for (collection, _), body in api.objects.items():
        labels = body["metadata"].get("labels", {})
        if collection == where and all(labels.get(k) == v for k, v in wanted.items()):
            # as the real one, which says the kind once for all
            items.append({k: v for k, v in body.items() if k not in ("apiVersion", "kind")})
    return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}


def _create(api: Api, where: str, body: Body) -> tuple[int, Body]:
    metadata = body["metadata"]
    if "generateName" in metadata:
        metadata["name"] = metadata["generateName"] + secrets.token_hex(3)
    if (where, metadata["name"]) in api.objects:
        return _status(409, "AlreadyExists", f'"{metadata["name"]}" already exists')
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now, "namespace": NAMESPACE}
    api.objects[where, metadata["name"]] = api.stamp(body)
    return 201, body


def _merge(target: Body, patch: Body) -> None:
    """RFC 7396."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.setdefault(key, {})
            _merge(inner, value)
        else:
            target[key] = value


def _status(code: int, reason: str, message: str) -> tuple[int, Body]:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure"}
    return code, {**status, "code": code, "reason": reason, "message": message}
