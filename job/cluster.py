"""The cluster's API server, as far as the job uses it: objects of a few kinds, their annotations, Events."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from job.errors import ClusterError, ClusterForbidden, SettingsError, one_line
from job.retry import retrying

TIMEOUT = 40
"""Seconds for one request: an API server that is busy, or waits for a webhook of a controller that has just
restarted, takes more than ten, and answers all the same."""
ATTEMPTS = 10
"""About two minutes in all where the answers are errors: an API server that restarts is back by then."""
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Object = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Resource:
    """A kind of object, as the API's paths name it."""

    group: str
    version: str
    plural: str

    @classmethod
    def of(cls, body: Object) -> Resource:
        """An object's own; the plurals of the kinds as which runs are created end in a plain s."""
        group, _, version = str(body["apiVersion"]).rpartition("/")
        return cls(group, version, f"{body['kind'].lower()}s")

    @classmethod
    def named(cls, path: str) -> tuple[Resource, str]:
        """`batch/v1/jobs/spam` as a resource and a name.

        Raises:
            SettingsError: it does not have these four parts.
        """
        parts = path.split("/")
        if len(parts) != 4 or not all(parts):
            raise SettingsError(
                f"FINETUNE_PROGRESS__ANNOTATE={path} does not name an object",
                hint="write group/version/plural/name, such as batch/v1/jobs/spam",
            )
        return cls(*parts[:3]), parts[3]


CRONJOBS = Resource("batch", "v1", "cronjobs")


def _asking(
    method: Callable[Concatenate[Cluster, P], T],
) -> Callable[Concatenate[Cluster, P], T]:
    """Try again what may pass, and name what does not.

    Raises (of the method):
        ClusterForbidden: the service account may not do that.
        ClusterError: no answer, or an error.
    """

    @functools.wraps(method)
    def asked(self: Cluster, *args: P.args, **kwargs: P.kwargs) -> T:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        def passing(error: BaseException) -> bool:
            if isinstance(error, ApiException):
                return error.status in (429, 500, 502, 503, 504)
            return isinstance(error, HTTPError)

        try:
            return retrying(lambda: method(self, *args, **kwargs), passing, self.attempts)
        except ApiException as error:
            kind = ClusterForbidden if error.status in (401, 403) else ClusterError
            raise kind(f"the API server says {error.status}: {_said(error)}") from error
        except HTTPError as error:
            raise ClusterError(f"the API server does not answer ({error})") from error

    return cast("Callable[Concatenate[Cluster, P], T]", asked)


class Cluster:
    """One namespace of a cluster: the pod's own, or the one that KUBECONFIG's context names."""

    def __init__(self, *, attempts: int = ATTEMPTS) -> None:
        """
        Args:
            attempts: how often a request is tried.

        Raises:
            SettingsError: this process is not in a pod with a token, and KUBECONFIG is not set.
        """
        from kubernetes import client

        self.attempts = attempts
        configuration = client.Configuration()
        configuration.retries = (
            0  # they are ours (`_asking`): urllib3's would multiply what they take
        )
        self.namespace = _configure(configuration)
        api = client.ApiClient(configuration)
        self._objects, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    @_asking
    def get(self, resource: Resource, name: str) -> Object | None:
        """An object; None where there is none of that name."""
        from kubernetes.client import ApiException

        try:
            body = self._objects.get_namespaced_custom_object(
                **self._in(resource), name=name, _request_timeout=TIMEOUT
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return dict(body)

    @_asking
    def list(self, resource: Resource, labels: Mapping[str, str]) -> list[Object]:
        """The objects with these labels."""
        listed = self._objects.list_namespaced_custom_object(
            **self._in(resource), label_selector=_selector(labels), _request_timeout=TIMEOUT
        )
        return list(listed["items"])

    @_asking
    def pods(self, labels: Mapping[str, str]) -> Sequence[Object]:
        """The pods with these labels."""
        answer = self._core.list_namespaced_pod(
            self.namespace,
            label_selector=_selector(labels),
            _preload_content=False,  # as it is: the library's own types refuse what they do not know
            _request_timeout=TIMEOUT,
        )
        return [*json.loads(answer.data)["items"]]

    @_asking
    def create(self, body: Object) -> Object:
        """Create an object; one of that name that exists already is returned as it is."""
        from kubernetes.client import ApiException

        resource = Resource.of(body)
        try:
            created = self._objects.create_namespaced_custom_object(
                **self._in(resource), body=body, _request_timeout=TIMEOUT
            )
        except ApiException as error:
            if error.status != 409:
                raise
            created = self._objects.get_namespaced_custom_object(
                **self._in(resource), name=body["metadata"]["name"], _request_timeout=TIMEOUT
            )
        return dict(created)

    @_asking
    def annotate(
        self, resource: Resource, name: str, annotations: Mapping[str, str | None]
    ) -> None:
        """Set annotations of an object, or remove those that are None; its others stay."""
        self._objects.patch_namespaced_custom_object(
            **self._in(resource),
            name=name,
            body={"metadata": {"annotations": dict(annotations)}},
            _content_type="application/merge-patch+json",
            _request_timeout=TIMEOUT,
        )

    @_asking
    def add_event(self, about: Object, reason: str, message: str, *, key: str = "") -> None:
        """Create an Event about an object; one whose reason ends in Failed is a warning.

        Args:
            key: what makes it another one than the object's other Events; one of the same key that
                exists already is left as it is. By default its reason and message.
        """
        from kubernetes.client import ApiException

        metadata = about["metadata"]
        uid = metadata.get("uid")
        digest = hashlib.sha256("\n".join((str(uid), key or f"{reason}: {message}")).encode())
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name'][:200]}.{digest.hexdigest()[:16]}"},
            "type": "Warning" if reason.endswith("Failed") else "Normal",
            "reason": reason,
            "message": message[:1024],
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": self.namespace,
                "name": metadata["name"],
                "uid": uid,
            },
            "source": {"component": "finetune"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self._core.create_namespaced_event(self.namespace, event, _request_timeout=TIMEOUT)
        except ApiException as error:
            if error.status != 409:
                raise

    def _in(self, resource: Resource) -> dict[str, str]:
        return {**vars(resource), "namespace": self.namespace}


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())


def _configure(configuration: Any) -> str:
    """Where the API server is and how it is asked: by the pod's token, or else by KUBECONFIG.

    Returns:
        The namespace.
    """
    from kubernetes import config

    try:
        config.load_incluster_config(client_configuration=configuration)
        return NAMESPACE_FILE.read_text().strip()
    except config.ConfigException:
        path = os.environ.get("KUBECONFIG")  # the library reads it once, when it is imported
    try:
        config.load_kube_config(config_file=path, client_configuration=configuration)
        context = config.list_kube_config_contexts(path)[1]["context"]
    except config.ConfigException as error:
        raise SettingsError(
            f"no cluster to talk to ({one_line(error)})",
            hint="run it in a pod with a service-account token, or set KUBECONFIG",
        ) from None
    return str(context.get("namespace", "default"))


def _said(error: Any) -> str:
    """The server's own message, out of the Status that it answers with."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


class Completion(NamedTuple):
    """How an object that runs pods has ended."""

    succeeded: bool
    message: str
    """What its controller says about it."""


CONDITIONS = {"Complete": True, "Completed": True, "Failed": False}
"""Conditions of a Job, JobSet or TrainJob that has ended, and whether well."""
VOLCANO_PHASES = {"Completed": True, "Failed": False, "Aborted": False, "Terminated": False}


def is_held(body: Object) -> bool:
    """Whether none of an object's pods may run: it waits in a queue, or was stopped by one."""
    if (body.get("spec") or {}).get("suspend"):
        return True
    state = (body.get("status") or {}).get("state")  # Volcano's
    return isinstance(state, dict) and state.get("phase") == "Pending"


def completion_of(body: Object) -> Completion | None:
    """How a Job, JobSet, TrainJob or Volcano Job has ended; None while it has not."""
    status = body.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("status") == "True" and condition["type"] in CONDITIONS:
            parts = (condition.get("reason"), condition.get("message"))
            return Completion(CONDITIONS[condition["type"]], ": ".join(filter(None, parts)))
    state = status.get("state") or {}  # Volcano's
    if isinstance(state, dict) and (phase := state.get("phase")) in VOLCANO_PHASES:
        message = f"{phase}: {state.get('message', '')}".rstrip(": ")
        return Completion(VOLCANO_PHASES[phase], message)
    return None
