"""The cluster's API server, asked for little: objects of a few kinds, their annotations, Events."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from job.errors import ClusterError, ClusterForbidden, SettingsError, one_line
from job.retry import retrying

TIMEOUT = 10
"""Seconds for one request."""
ATTEMPTS = 6
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
        """An object's own: plurals of the kinds that runs are made as end in a plain s."""
        group, _, version = str(body["apiVersion"]).rpartition("/")
        return cls(group, version, f"{body['kind'].lower()}s")

    @classmethod
    def named(cls, path: str) -> tuple[Resource, str]:
        """`batch/v1/jobs/spam` as a resource and a name.

        Raises:
            SettingsError: it has not these four parts.
        """
        parts = path.split("/")
        if len(parts) != 4 or not all(parts):
            raise SettingsError(
                f"FINETUNE_PROGRESS__ANNOTATE={path} names no object",
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
            SettingsError: this process is in no pod with a token, and has no KUBECONFIG.
        """
        from kubernetes import client

        self.attempts = attempts
        configuration = client.Configuration()
        self.namespace = _configure(configuration)
        api = client.ApiClient(configuration)
        self._objects, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    @_asking
    def get(self, resource: Resource, name: str) -> Object | None:
        """An object; None where there is none of that name."""
        from kubernetes.client import ApiException

        try:
            found = self._objects.get_namespaced_custom_object(
                **self._in(resource), name=name, _request_timeout=TIMEOUT
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return dict(found)

    @_asking
    def list(self, resource: Resource, labels: Mapping[str, str]) -> list[Object]:
        """The objects with these labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        found = self._objects.list_namespaced_custom_object(
            **self._in(resource), label_selector=selector, _request_timeout=TIMEOUT
        )
        return list(found["items"])

    @_asking
    def create(self, body: Object) -> Object:
        """Create an object; one of that name that is there already is given back as it is."""
        from kubernetes.client import ApiException

        resource = Resource.of(body)
        try:
            made = self._objects.create_namespaced_custom_object(
                **self._in(resource), body=body, _request_timeout=TIMEOUT
            )
        except ApiException as error:
            if error.status != 409:
                raise
            made = self._objects.get_namespaced_custom_object(
                **self._in(resource), name=body["metadata"]["name"], _request_timeout=TIMEOUT
            )
        return dict(made)

    @_asking
    def annotate(self, resource: Resource, name: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of an object, leaving its others."""
        self._objects.patch_namespaced_custom_object(
            **self._in(resource),
            name=name,
            body={"metadata": {"annotations": dict(annotations)}},
            _content_type="application/merge-patch+json",
            _request_timeout=TIMEOUT,
        )

    @_asking
    def tell(self, about: Object, reason: str, message: str) -> None:
        """An Event about an object; a reason that ends in Failed is a warning."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        metadata = about["metadata"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name'][:200]}-"},
            "type": "Warning" if reason.endswith("Failed") else "Normal",
            "reason": reason,
            "message": message[:1024],
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": self.namespace,
                "name": metadata["name"],
                "uid": metadata.get("uid"),
            },
            "source": {"component": "finetune"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._core.create_namespaced_event(self.namespace, event, _request_timeout=TIMEOUT)

    def _in(self, resource: Resource) -> dict[str, str]:
        return {**vars(resource), "namespace": self.namespace}


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
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def ended(body: Object) -> tuple[bool, str] | None:
    """Whether a Job, JobSet, TrainJob or Volcano Job has ended well, and what it says of its end;
    None while it has not ended."""
    status = body.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("status") == "True" and condition["type"] in ENDS:
            said = ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
            return ENDS[condition["type"]], said
    state = status.get("state") or {}  # Volcano's
    if isinstance(state, dict) and state.get("phase") in PHASES:
        return PHASES[state["phase"]], f"{state['phase']}: {state.get('message', '')}".rstrip(": ")
    return None


ENDS = {"Complete": True, "Completed": True, "Failed": False}
PHASES = {"Completed": True, "Failed": False, "Aborted": False, "Terminated": False}
