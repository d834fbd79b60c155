"""Why an object's pods do not run: since when it waits in a queue, and what the queue itself says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from job.cluster import Cluster, Object, Resource, is_held
from job.errors import ClusterError

KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
KUEUE_OWNER = "kueue.x-k8s.io/job-uid"
WORKLOADS = Resource("kueue.x-k8s.io", "v1beta2", "workloads")
PODGROUPS = Resource("scheduling.volcano.sh", "v1beta1", "podgroups")


@dataclass(frozen=True)
class Waiting:
    """How an object waits."""

    queue: str
    """Its name; empty where no queue is named."""
    since: str
    """When it was created or was stopped, as the API writes times."""
    reason: str
    """What the queue says of it."""
    stopped: str = ""
    """Why the queue took its pods away, where it had run."""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Waiting:
        """What the store holds; what is not there is left empty."""
        return cls(**{item.name: str(value.get(item.name, "")) for item in fields(cls)})

    def __str__(self) -> str:
        queue = f"queue {self.queue}" if self.queue else "a queue"
        stopped = f" (stopped: {self.stopped})" if self.stopped else ""
        return f"waits in {queue} since {self.since}{stopped}: {self.reason}"


def waiting(cluster: Cluster, body: Object) -> Waiting | None:
    """How an object waits; None where its pods may run.

    Raises:
        ClusterError: the API server is gone for too long.
    """
    if not is_held(body):
        return None
    if Resource.of(body).group == "batch.volcano.sh":
        return _in_volcano(cluster, body)
    return _in_kueue(cluster, body)


def _in_kueue(cluster: Cluster, body: Object) -> Waiting:
    """Kueue keeps a Workload for each object that it queues."""
    metadata = body["metadata"]
    queue = str(metadata.get("labels", {}).get(KUEUE_QUEUE, ""))
    since = str(metadata["creationTimestamp"])
    try:
        listed = cluster.list(WORKLOADS, {KUEUE_OWNER: str(metadata["uid"])})
    except ClusterError as error:
        return Waiting(queue, since, f"its Workload cannot be read ({error.message})")
    if not listed:
        hint = "Kueue has no Workload for it yet" if queue else "it is suspended and has no queue"
        return Waiting(queue, since, hint)
    workload = max(listed, key=lambda item: str(item["metadata"]["creationTimestamp"]))
    conditions = _conditions(workload)
    reason = _said(conditions, "QuotaReserved", "False") or _said(conditions, "Admitted", "False")
    stopped = _said(conditions, "Preempted", "True") or _said(conditions, "Evicted", "True")
    if stopped:
        since = str(conditions["Evicted"].get("lastTransitionTime", since))
    return Waiting(queue, since, reason or "Kueue has not said why", stopped)


def _in_volcano(cluster: Cluster, body: Object) -> Waiting:
    """Volcano keeps a PodGroup for each of its Jobs."""
    metadata = body["metadata"]
    queue = str(body["spec"].get("queue") or "default")
    state = body["status"]["state"]
    since = str(state.get("lastTransitionTime") or metadata["creationTimestamp"])
    try:
        group = cluster.get(PODGROUPS, f"{metadata['name']}-{metadata['uid']}")
    except ClusterError as error:
        return Waiting(queue, since, f"its PodGroup cannot be read ({error.message})")
    reason = _said(_conditions(group or {}), "Unschedulable", "True")
    return Waiting(queue, since, reason or "Volcano has not said why")


def _conditions(body: Object) -> Mapping[str, Mapping[str, Any]]:
    listed: Sequence[Mapping[str, Any]] = (body.get("status") or {}).get("conditions") or ()
    return {str(item["type"]): item for item in listed}


def _said(conditions: Mapping[str, Mapping[str, Any]], kind: str, status: str) -> str:
    """A condition in its controller's words, where it has this status."""
    condition = conditions.get(kind, {})
    if condition.get("status") != status:
        return ""
    return ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
