"""An API server for tests: the real protocol over HTTP, with objects in memory and no controllers.

It answers get, list by labels, create, patch and delete under /api and /apis, with the Status objects,
uids and resource versions of the real one, 409 for names that exist, and 401 and 403 for tokens that are
unknown or may not; and says which kinds it has, so that Helm can install into it. An `admission` stands
for the webhooks of a cluster's controllers. tests/e2e asks the same of a real cluster.
"""

from __future__ import annotations

import copy
import json
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.support import kubernetes_protobuf

Body = dict[str, Any]
NAMESPACE = "team"
KINDS = {
    "v1": "Pod Secret Service ServiceAccount ConfigMap Event",
    "batch/v1": "Job CronJob",
    "networking.k8s.io/v1": "NetworkPolicy",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding",
    "jobset.x-k8s.io/v1alpha2": "JobSet",
    "trainer.kubeflow.org/v1alpha1": "TrainJob TrainingRuntime",
}
"""What discovery names; other kinds are kept as well."""
PATCHES = ("merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
"""All are merged in the same way: nothing here depends on how lists are."""


def admit(method: str, body: Body) -> str | None:
    """The admission of a cluster without webhooks."""
    return None


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
    """So many requests from now are answered with `failure`."""
    failure: int = 500
    failing: set[str] = field(default_factory=set)
    """Of what it is asked, that which is answered with `failure`."""
    anonymous: bool = False
    """Whether it takes anybody: Helm and kubectl send no token without TLS."""
    admission: Callable[[str, Body], str | None] = admit
    """Why an object may not be made, or not be changed to this, by `POST`, `PATCH` or `PUT`; None where it may."""
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

        # the library finds them by name
        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def _answer(api: Api, method: str, url: str, headers: Any, data: bytes) -> tuple[int, Body]:
    parts = urlsplit(url)
    path = parts.path.strip("/").split("/")
    if "namespaces" not in path:
        return _discovered(path)
    depth = 5 if path[0] == "api" else 6
    where, name = "/" + "/".join(path[:depth]), "/".join(path[depth:])
    api.asked.append(f"{method} {path[depth - 1]}")
    if api.failures or api.asked[-1] in api.failing:
        api.failures = max(0, api.failures - 1)
        return _status(api.failure, "InternalError", "the server has a bad moment")
    if not api.anonymous and headers.get("Authorization") != f"Bearer {api.token}":
        return _status(401, "Unauthorized", "Unauthorized")
    if api.asked[-1] in api.forbidden:
        return _status(403, "Forbidden", f"{path[depth - 1]} is forbidden: User cannot do that")
    if method == "GET" and not name:
        return 200, _listed(api, where, parse_qs(parts.query))
    if method == "POST":
        return _create(api, where, _decoded(data))
    body = api.objects.get((where, name))
    kind = headers.get("Content-Type", "").removeprefix("application/")
    if body is None and kind == "apply-patch+yaml":
        return _create(api, where, _decoded(data))
    if body is None:
        return _status(404, "NotFound", f'{path[depth - 1]} "{name}" not found')
    if method in ("PATCH", "PUT"):
        return _change(api, (where, name), method, kind, _decoded(data))
    if method == "DELETE":
        del api.objects[where, name]
    return 200, body


def _decoded(data: bytes) -> Body:
    if data.startswith(kubernetes_protobuf.MAGIC):
        return kubernetes_protobuf.secret(data)
    return dict(json.loads(data))


def _change(
    api: Api, key: tuple[str, str], method: str, kind: str, given: Body
) -> tuple[int, Body]:
    custom = "." in key[0].split("/")[2] and "k8s.io" not in key[0].split("/")[2].split(".", 1)[1:]
    if method == "PATCH" and (kind not in PATCHES or (custom and kind.startswith("strategic"))):
        return _status(415, "UnsupportedMediaType", "merge patches alone")
    before = api.objects[key]
    body = copy.deepcopy(before)
    if method == "PUT":
        body.clear()
    _merge(body, given)
    if reason := api.admission(method, body):
        return _denied(reason)
    before.clear()
    before.update(body)
    return 200, api.stamp(before)


def _discovered(path: list[str]) -> tuple[int, Body]:
    """Which groups and kinds there are."""
    groups = [version.split("/") for version in KINDS if "/" in version]
    if path == ["version"]:
        return 200, {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
    if path == ["api"]:
        return 200, {"kind": "APIVersions", "versions": ["v1"]}
    if path == ["apis"]:
        versions = [{"groupVersion": "/".join(pair), "version": pair[1]} for pair in groups]
        listed = [
            {"name": pair[0], "versions": [version], "preferredVersion": version}
            for pair, version in zip(groups, versions, strict=True)
        ]
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    version = "/".join(path[1:])
    if version not in KINDS:
        return _status(404, "NotFound", "the server could not find the requested resource")
    verbs = ["create", "delete", "get", "list", "patch", "update"]
    resources = [
        {"name": f"{kind.lower()}s", "kind": kind, "namespaced": True, "verbs": verbs}
        for kind in KINDS[version].split()
    ]
    return 200, {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def _listed(api: Api, where: str, query: dict[str, list[str]]) -> Body:
    selector = query.get("labelSelector", [""])[0]
    wanted = dict(pair.split("=", 1) for pair in selector.split(",") if pair)
    items, kind = [], ""
    for (collection, _), body in api.objects.items():
        labels = body["metadata"].get("labels", {})
        if collection == where and all(labels.get(k) == v for k, v in wanted.items()):
            # as the real one, which says the kind once for all
            items.append({k: v for k, v in body.items() if k not in ("apiVersion", "kind")})
            kind = body["kind"]
    version = where.removeprefix("/apis/").removeprefix("/api/").partition("/namespaces/")[0]
    return {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": items}


def _create(api: Api, where: str, body: Body) -> tuple[int, Body]:
    metadata = body["metadata"]
    if "generateName" in metadata:
        metadata["name"] = metadata["generateName"] + secrets.token_hex(3)
    if (where, metadata["name"]) in api.objects:
        return _status(409, "AlreadyExists", f'"{metadata["name"]}" already exists')
    if reason := api.admission("POST", body):
        return _denied(reason)
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


def _denied(reason: str) -> tuple[int, Body]:
    return _status(403, "Forbidden", f'admission webhook "validator" denied the request: {reason}')


def _status(code: int, reason: str, message: str) -> tuple[int, Body]:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure"}
    return code, {**status, "code": code, "reason": reason, "message": message}
