"""The cluster's API server, as far as the job uses it: objects of a few kinds, their annotations, Events."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from job.cluster.objects import (
    CRONJOBS,
    Completion,
    Object,
    Resource,
    completion_of,
    is_held,
)
from job.errors import ClusterError, ClusterForbidden, SettingsError
from job.retry import retrying
from job.text import moment, one_line

__all__ = [
    "CRONJOBS",
    "Cluster",
    "Completion",
    "Object",
    "Resource",
    "completion_of",
    "is_held",
]

TIMEOUT = 40
"""Seconds for one request: an API server that is busy, or waits for a webhook of a controller that has just
restarted, takes more than ten, and answers all the same."""
ATTEMPTS = 10
"""About two minutes in all where the answers are errors: an API server that restarts is back by then."""
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

P = ParamSpec("P")
T = TypeVar("T")


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
                # 401 too: a server that has just started, or a token that has, is not known everywhere
                return error.status in (401, 429, 500, 502, 503, 504)
            return isinstance(error, HTTPError)

        try:
            return retrying(lambda: method(self, *args, **kwargs), passing, self.attempts)
        except ApiException as error:
            kind = ClusterForbidden if error.status == 403 else ClusterError
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
        now = moment(time.time())
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
