"""Why an object's pods do not run: since when it waits, and what its queue, scheduler or kubelet says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from job.cluster import Cluster, Object, Resource, is_held
from job.errors import ClusterError
from job.launch import manifest

KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
KUEUE_OWNER = "kueue.x-k8s.io/job-uid"
WORKLOADS = Resource("kueue.x-k8s.io", "v1beta2", "workloads")
PODGROUPS = Resource("scheduling.volcano.sh", "v1beta1", "podgroups")

Conditions = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Waiting:
    """How an object waits."""

    queue: str
    """Its name; empty where it waits in none."""
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
        queue = f" in queue {self.queue}" if self.queue else ""
        stopped = f" (stopped: {self.stopped})" if self.stopped else ""
        return f"waits{queue} since {self.since}{stopped}: {self.reason}"

    def same_as(self, other: Waiting | None) -> bool:
        """Whether it waits for the same reason; some controllers renew their times again and again."""
        return other is not None and (self.queue, self.reason, self.stopped) == (
            other.queue,
            other.reason,
            other.stopped,
        )


def waiting(cluster: Cluster, body: Object) -> Waiting | None:
    """How an object waits in its queue; None where the queue lets its pods run.

    Raises:
        ClusterError: the API server is gone for too long.
    """
    if Resource.of(body).group == "batch.volcano.sh":
        return _in_volcano(cluster, body)
    return _in_kueue(cluster, body) if is_held(body) else None


def unstarted(cluster: Cluster, body: Object) -> Waiting | None:
    """Why pods that may run have not started, for want of a node, an image or a Secret; None where there
    is no such pod, or where that cannot be read."""
    try:
        pods = cluster.pods(manifest.selector(body))
    except ClusterError:
        return None
    for pod in pods:
        said = _said(_conditions(pod), "PodScheduled", "False") or _container_waits(pod)
        if said and manifest.run_id(pod) == manifest.run_id(body):
            metadata = pod["metadata"]
            return Waiting(
                "", str(metadata["creationTimestamp"]), f"pod {metadata['name']}: {said}"
            )
    return None


def _container_waits(pod: Object) -> str:
    """For what a pod's container waits that may never come, in the kubelet's words."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        waits = (container.get("state") or {}).get("waiting") or {}
        if waits.get("message"):  # what is only being created has none
            return f"{waits.get('reason')}: {waits['message']}"
    return ""


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
    evicted = _said(conditions, "Evicted", "True")
    if evicted:
        since = str(conditions["Evicted"].get("lastTransitionTime", since))
    stopped = evicted and (_said(conditions, "Preempted", "True") or evicted)
    return Waiting(queue, since, reason or "Kueue has not said why", stopped)


def _in_volcano(cluster: Cluster, body: Object) -> Waiting | None:
    """Volcano keeps a PodGroup for each of its Jobs; one whose pods were taken away stays Running itself."""
    metadata = body["metadata"]
    queue = str(body["spec"].get("queue") or "default")
    state = (body.get("status") or {}).get("state") or {}
    since = str(state.get("lastTransitionTime") or metadata["creationTimestamp"])
    try:
        group = cluster.get(PODGROUPS, f"{metadata['name']}-{metadata['uid']}") or {}
    except ClusterError as error:
        reason = f"its PodGroup cannot be read ({error.message})"
        return Waiting(queue, since, reason) if is_held(body) else None
    conditions = _conditions(group)
    reason = _said(conditions, "Unschedulable", "True")
    if is_held(body):
        return Waiting(queue, since, reason or "Volcano has not said why")
    began, failed = (
        str(conditions.get(kind, {}).get("lastTransitionTime", ""))
        for kind in ("Scheduled", "Unschedulable")
    )
    phase = (group.get("status") or {}).get("phase")
    if reason and failed >= began and phase in ("Pending", "Inqueue", "Unknown"):
        return Waiting(queue, failed, reason)
    return None


def _conditions(body: Object) -> Conditions:
    listed: Sequence[Mapping[str, Any]] = (body.get("status") or {}).get("conditions") or ()
    return {str(item["type"]): item for item in listed}


def _said(conditions: Conditions, kind: str, status: str) -> str:
    """A condition in its controller's words, where it has this status."""
    condition = conditions.get(kind, {})
    if condition.get("status") != status:
        return ""
    return ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
